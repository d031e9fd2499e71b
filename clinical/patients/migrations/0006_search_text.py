from django.db import migrations, models

from clinical.patients.search_text import search_text


def fill(apps, schema_editor):
    patients = apps.get_model("patients", "Patient")._base_manager
    filled = []
    for patient in patients.only("family_name", "given_name", "mrn").iterator():
        patient.search_text = search_text(patient.family_name, patient.given_name, patient.mrn)
        filled.append(patient)
    patients.bulk_update(filled, ["search_text"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("patients", "0005_begun_by_a_worker")]
    operations = [
        migrations.AddField("patient", "search_text", models.TextField(default="", editable=False)),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
