from django.db import migrations, models

FOR_ANOTHER = "This very picture is filed for another patient of the hospital."


def tell(apps, schema_editor):
    """Until now its text alone said so."""
    apps.get_model("dicom", "Arrival").objects.filter(doubts=FOR_ANOTHER).update(for_another=True, doubts="")


class Migration(migrations.Migration):
    dependencies = [("dicom", "0003_submissions")]

    operations = [
        migrations.RenameField("arrival", "reason", "doubts"),
        migrations.AlterField(
            model_name="arrival",
            name="doubts",
            field=models.CharField(
                blank=True, help_text="Why else it could not be filed, in sentences.", max_length=400
            ),
        ),
        migrations.AddField(
            model_name="arrival",
            name="for_another",
            field=models.BooleanField(default=False, help_text="The very picture is filed for another patient."),
        ),
        migrations.RunPython(tell, migrations.RunPython.noop, elidable=True),
    ]
