from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0011_comparison_due")]

    operations = [
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["hospital", "submission"], name="studies_stu_hospita_a49c6b_idx"),
        ),
    ]
