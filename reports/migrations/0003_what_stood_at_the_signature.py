import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def fill(apps, schema_editor):
    """As the studies and records stand today."""
    filled = []
    Report = apps.get_model("reports", "Report")
    for report in Report._base_manager.select_related("study__patient").iterator():
        report.acquired_on, report.indication = report.study.acquired_on, report.study.indication
        report.date_of_birth = report.study.patient.date_of_birth
        filled.append(report)
    Report._base_manager.bulk_update(filled, ["acquired_on", "indication", "date_of_birth"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0002_begun_by_a_worker"),
        ("studies", "0010_cancellation"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField("report", "acquired_on", models.DateField(null=True, verbose_name="study date")),
        migrations.AddField("report", "indication", models.CharField(blank=True, default="", max_length=400), False),
        migrations.AddField("report", "date_of_birth", models.DateField(null=True)),
        migrations.AddField(
            "report",
            "superseded_by",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            "report",
            "amendment_reason",
            models.CharField(blank=True, default="", help_text="Why another version follows.", max_length=300),
            False,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField("report", "acquired_on", models.DateField(verbose_name="study date")),
        migrations.AlterField("report", "date_of_birth", models.DateField()),
    ]
