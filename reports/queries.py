from reports.models import Report, State


def reports_of(study):
    """The reports of `study`, the newest version first."""
    reports = Report.objects.filter(study=study).select_related("signed_by", "superseded_by", "study")
    return reports.prefetch_related("dispatches__archive").order_by("-version")


def released_reports(*patients):
    """What the family of `patients` (or their keys) may read: released, ready, not superseded; newest study first."""
    released = Report.objects.filter(
        study__patient__in=patients, state=State.READY, released_at__isnull=False, superseded_at=None
    )
    return released.select_related("study__patient", "review", "signed_by").order_by(
        "-study__acquired_on", "-signed_at"
    )
