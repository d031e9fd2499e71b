from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0007_what_reviews_were_judged_by")]
    operations = [
        migrations.AlterField("review", "age_months", models.FloatField(verbose_name="chronological age")),
        migrations.AlterField(
            "review", "sex", models.CharField(choices=[("F", "Female"), ("M", "Male")], max_length=1)
        ),
        migrations.AlterField(
            "review",
            "reference",
            models.CharField(help_text="Key of the table of bone ages.", max_length=20),
        ),
    ]
