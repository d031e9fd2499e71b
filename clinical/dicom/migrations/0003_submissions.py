from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dicom", "0002_archives")]

    operations = [
        migrations.AddIndex(
            model_name="arrival",
            index=models.Index(fields=["hospital", "submission"], name="dicom_arriv_hospita_be77ef_idx"),
        ),
    ]
