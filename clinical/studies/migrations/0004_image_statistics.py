from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0003_judge_the_studies_there_are")]

    operations = [
        migrations.AddField(
            model_name="radiograph",
            name="mean",
            field=models.FloatField(editable=False, help_text="Mean brightness, 0 black to 1 white.", null=True),
        ),
        migrations.AddField(
            model_name="radiograph",
            name="sd",
            field=models.FloatField(
                editable=False, help_text="Standard deviation of the brightness.", null=True, verbose_name="SD"
            ),
        ),
        migrations.AddField(
            model_name="radiograph",
            name="sharpness",
            field=models.FloatField(editable=False, help_text="Standard deviation of the Laplacian.", null=True),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(fields=["-submitted_at", "-id"], name="studies_stu_submitt_459824_idx"),
        ),
    ]
