from django.db import migrations

from clinical.growth.ages import age_in_months
from clinical.growth.bone_age import assess


def judge(apps, schema_editor):
    Study = apps.get_model("studies", "Study")
    judged = []
    studies = Study._base_manager.select_related("hospital", "patient", "analysis", "review")
    for study in studies.iterator():
        read = study.review or study.analysis
        if read.bone_age_months is None or study.acquired_on < study.patient.date_of_birth:
            continue
        age = age_in_months(study.patient.date_of_birth, study.acquired_on)
        study.sds = assess(read.bone_age_months, age, study.sex, study.hospital.bone_age_reference).sds
        judged.append(study)
    Study._base_manager.bulk_update(judged, ["sds"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("studies", "0002_what_needs_whom")]
    operations = [migrations.RunPython(judge, migrations.RunPython.noop)]
