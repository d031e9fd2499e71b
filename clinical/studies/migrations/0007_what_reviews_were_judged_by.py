from django.db import migrations, models

from clinical.growth.ages import age_in_months

SEX = models.CharField(choices=[("F", "Female"), ("M", "Male")], max_length=1, null=True)


def fill(apps, schema_editor):
    """As the studies are judged today; and what is not signed follows the sex of the record, as from now on."""
    Review, Study = apps.get_model("studies", "Review"), apps.get_model("studies", "Study")
    filled = []
    for review in Review._base_manager.select_related("study__patient", "hospital").iterator():
        study = review.study
        # A birth that was corrected to after the study: nothing was judged since.
        review.age_months = age_in_months(min(study.patient.date_of_birth, study.acquired_on), study.acquired_on)
        review.sex, review.reference = study.sex, review.hospital.bone_age_reference
        filled.append(review)
    Review._base_manager.bulk_update(filled, ["age_months", "sex", "reference"], batch_size=500)
    for sex in "FM":
        unsigned = Study._base_manager.exclude(state__in=("signed", "released"))
        unsigned.filter(patient__sex=sex).exclude(sex=sex).update(sex=sex)


class Migration(migrations.Migration):
    dependencies = [("studies", "0006_occlusion_map")]
    operations = [
        migrations.AddField("review", "age_months", models.FloatField(null=True, verbose_name="chronological age")),
        migrations.AddField("review", "sex", SEX),
        migrations.AddField("review", "reference", models.CharField(max_length=20, null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
