from django.db import migrations, models
from django.db.models import Exists, OuterRef


def mark(apps, schema_editor):
    """What was taken back, where the film counts for another patient."""
    studies = apps.get_model("studies", "Study").objects.using(schema_editor.connection.alias)
    elsewhere = studies.filter(radiograph=OuterRef("radiograph")).exclude(patient=OuterRef("patient"))
    counts = Exists(elsewhere.exclude(state="cancelled"))
    keys = studies.filter(counts, state="cancelled").values_list("pk", flat=True)
    studies.filter(pk__in=list(keys)).update(film_of_another=True)


class Migration(migrations.Migration):
    dependencies = [("studies", "0012_submissions")]

    operations = [
        migrations.AddField(
            model_name="study",
            name="film_of_another",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="It was taken back, and its film was filed for another patient since.",
            ),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop, elidable=True),
    ]
