from django.db import migrations, models

import clinical.patients.models


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0007_guardian_of_adult"),
    ]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="gestational_age",
            field=models.CharField(
                blank=True,
                help_text="In weeks, with days if they are known: 34 or 34+2. The age of a child born before 37 weeks is corrected until three years.",
                max_length=10,
                validators=[clinical.patients.models.check_gestation],
                verbose_name="gestational age at birth",
            ),
        ),
    ]
