from django.db import migrations


def give_states(apps, schema_editor):
    """The version that made the latest result serves; the others have served."""
    ModelVersion = apps.get_model("inference", "ModelVersion")
    latest = (
        apps.get_model("inference", "Analysis")
        .objects.filter(model_version__isnull=False, finished_at__isnull=False)
        .order_by("-finished_at")
        .values_list("model_version", flat=True)
        .first()
    )
    serving = ModelVersion.objects.filter(pk=latest).first() or ModelVersion.objects.order_by("-registered_at").first()
    if serving:
        ModelVersion.objects.exclude(pk=serving.pk).update(state="retired")
        ModelVersion.objects.filter(pk=serving.pk).update(state="active", activated_at=serving.registered_at)


class Migration(migrations.Migration):
    dependencies = [("inference", "0002_versions_have_a_state")]

    operations = [migrations.RunPython(give_states, migrations.RunPython.noop)]
