import logging
from functools import cache

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError

from clinical.accounts.scope import tenant_task
from inference import workflow
from inference.engine import BoneAgeModel, Refusal, UnreadableRadiograph, read_radiograph
from inference.heat_map import overlay_png
from inference.models import ModelVersion

logger = logging.getLogger(__name__)


@cache
def serving():
    """The model of this worker process and its ModelVersion, loaded at the first task.

    Never at import: a TensorFlow that was used before the fork hangs the child.
    """
    model = BoneAgeModel.load(settings.INFERENCE_MODEL, runtime=settings.INFERENCE_RUNTIME)
    version, _ = ModelVersion.objects.get_or_create(
        name=model.name, version=model.version, defaults={"card": model.card}
    )
    return model, version


@tenant_task(bind=True)
def analyse(self, *, analysis_id):
    """Read the bone age for one queued Analysis. Safe to be delivered twice: the second finds nothing to do."""
    try:
        analysis = workflow.start(analysis_id, worker=self.request.hostname or "")
    except workflow.WrongState:
        logger.info("Analysis %s was delivered again and is left alone", analysis_id)
        return
    try:
        _read(analysis)
    except workflow.LeaseLost:
        logger.warning("Analysis %s attempt %s lost its lease; result dropped", analysis.pk, analysis.attempt)
    except DatabaseError:
        raise  # Nothing can be written: the sweep queues it again when the lease has run out.
    except Exception as error:
        code, reason = _explain(error)
        traceback = code == "internal"  # the others say all there is to know
        logger.error("Analysis %s attempt %s failed: %s", analysis.pk, analysis.attempt, code, exc_info=traceback)
        workflow.fail(analysis, code, reason)


def _read(analysis):
    storage = storages["private"]
    with storage.open(analysis.radiograph) as file:
        data = file.read()
    try:
        radiograph = read_radiograph(data)
    except UnreadableRadiograph as error:
        workflow.reject(analysis, error.code, str(error))
        return
    model, version = serving()
    workflow.extend_lease(analysis)
    [outcome] = model.predict([radiograph.pixels], [analysis.sex])
    if isinstance(outcome, Refusal):
        workflow.reject(
            analysis, outcome.code, outcome.reason, model_version=version, milliseconds=outcome.milliseconds
        )
        return
    # The attempt is in the name: a worker that lost its lease never touches the file of its successor.
    overlay = ContentFile(overlay_png(outcome.heat_map, radiograph.pixels.shape))
    heat_map = storage.save(f"heat-maps/{analysis.pk}/{analysis.attempt}.png", overlay)
    workflow.finish(
        analysis,
        model_version=version,
        bone_age_months=outcome.bone_age_months,
        low_months=outcome.low_months,
        high_months=outcome.high_months,
        regions={name: vars(region) for name, region in outcome.regions.items()},
        heat_map=heat_map,
        milliseconds=outcome.milliseconds,
    )


def _explain(error):
    match error:
        case FileNotFoundError():
            return "file-missing", "The stored radiograph could not be found. Upload it again."
        case SoftTimeLimitExceeded() | TimeoutError():
            return "too-slow", "The analysis took too long and was stopped. Try again when the portal is less busy."
        case MemoryError():
            return "no-memory", "The worker ran out of memory. Try again; if it stays so, tell the platform's staff."
        case OSError():
            return "storage", "The worker could not use its storage. Try again, or tell the platform's staff."
    return "internal", "The analysis broke off unexpectedly. Try again; if it stays so, tell the platform's staff."


@tenant_task
def requeue_due():
    """Every minute, and at every start of a worker: see `workflow.requeue_due`."""
    delivered = workflow.requeue_due()
    if delivered:
        logger.info("Delivered %s due analyses", delivered)
