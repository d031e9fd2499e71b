"""The shadow run: a candidate reads what the active version has read, whenever no study waits.

The rows are the queue. A message only wakes a worker, which reads one and passes the call on behind whatever came
meanwhile; so a long shadow run lies in the way of no study.
"""

from django.db import transaction

from inference import workflow
from inference.models import Analysis, ModelVersion, ShadowAnalysis, State


def follow(analysis):
    """Note `analysis`, which has just ended, for the candidate that runs in the shadow, if there is one."""
    if analysis.model_version_id is None:  # no model has seen the picture
        return
    candidate = ModelVersion.objects.filter(shadows=True).exclude(pk=analysis.model_version_id).first()
    if candidate is None:
        return
    ShadowAnalysis.objects.get_or_create(
        analysis=analysis,
        model_version=candidate,
        defaults={"hospital": analysis.hospital, "radiograph": analysis.radiograph, "sex": analysis.sex},
    )
    wake()


def wake():
    """Call a worker, unless a study of these hospitals waits: who ends that one calls again."""
    from inference.tasks import read_shadow

    if ShadowAnalysis.objects.filter(state=State.QUEUED).exists() and not _studies_wait():
        transaction.on_commit(read_shadow.delay, robust=True)


def _studies_wait():
    return Analysis.objects.filter(state=State.QUEUED).exists()


def claim(worker):
    """The next one, started for `worker`, or None while a study waits and when there is none."""
    if _studies_wait():
        return None
    for shadow in ShadowAnalysis.objects.filter(state=State.QUEUED).order_by("queued_at")[:10]:
        try:
            return workflow.start(shadow.pk, worker, ShadowAnalysis)
        except workflow.WrongState:  # another worker was faster
            continue
    return None
