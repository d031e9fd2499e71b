import logging
from time import monotonic

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError

from clinical.accounts.scope import every_hospital, tenant_task
from inference import registry, shadow, workflow
from inference.engine import Refusal, UnreadableRadiograph, read_radiograph
from inference.engine.weights import MissingWeights
from inference.heat_map import overlay_png
from inference.models import Analysis, ModelVersion

logger = logging.getLogger(__name__)


def serving():
    """The model that reads studies now and its ModelVersion; in the memory of this worker process from then on.

    Never at import: a TensorFlow that was used before the fork hangs the child.
    """
    version = registry.active()
    if version is None:
        registry.register_deployed()
        version = registry.active()
    if version is None:
        raise registry.ModelUnavailable("No version of the model is active.")
    return registry.load(version), version


@tenant_task(bind=True)
def analyse(self, *, analysis_id):
    """Read the bone age for one queued Analysis, and before it for one that is urgent, whichever hospital's.

    So an urgent one waits for one reading at most however many calls lie before its own, on any broker; several take
    turns with the rest. Both readings share the limits of one task, which are many times what two take; where an urgent
    one has taken half of the time, this one is called for again. Safe to be delivered twice: the second finds nothing
    to do.
    """
    began = monotonic()
    with every_hospital():
        urgent = workflow.first_urgent()
    if urgent is not None and str(urgent.pk) != analysis_id:
        self(analysis_id=str(urgent.pk), hospital_id=urgent.hospital_id)
        if monotonic() - began > settings.CELERY_TASK_SOFT_TIME_LIMIT / 2:
            workflow.deliver(Analysis.objects.get(pk=analysis_id))
            return
    try:
        analysis = workflow.start(analysis_id, worker=self.request.hostname or "")
    except workflow.WrongState:
        logger.info("Analysis %s was begun or ended before and is left alone", analysis_id)
        return
    _run(analysis, serving)
    shadow.follow(analysis)


@tenant_task(bind=True)
def read_shadow(self):
    """Read one radiograph for the candidate in the shadow, unless a study waits; then pass the call on."""
    with every_hospital():
        run = shadow.claim(self.request.hostname or "")
        if run is not None:
            _run(run, lambda: (registry.load(run.model_version), run.model_version))
            shadow.wake()


@tenant_task
def try_version(*, version_id):
    """See `registry.try_out`."""
    registry.try_out(ModelVersion.objects.get(pk=version_id))


def _run(run, model_of):
    """Bring a started Analysis or ShadowAnalysis to its end with the model and version that `model_of()` gives."""
    try:
        _read(run, model_of)
    except workflow.LeaseLost:
        logger.warning("%s attempt %s lost its lease; result dropped", run, run.attempt)
    except DatabaseError:
        raise  # Nothing can be written: the sweep queues it again when the lease has run out.
    except Exception as error:
        code, reason = _explain(error)
        traceback = code == "internal"  # the others say all there is to know
        detail = f": {error}" if code == "model" else ""
        logger.error("%s attempt %s failed: %s%s", run, run.attempt, code, detail, exc_info=traceback)
        workflow.fail(run, code, reason)


def _read(run, model_of):
    storage = storages["private"]
    with storage.open(run.radiograph) as file:
        data = file.read()
    try:
        radiograph = read_radiograph(data)
    except UnreadableRadiograph as error:
        workflow.reject(run, error.code, str(error))
        return
    model, version = model_of()
    workflow.extend_lease(run)
    [outcome] = model.predict([radiograph.pixels], [run.sex])
    if isinstance(outcome, Refusal):
        workflow.reject(run, outcome.code, outcome.reason, model_version=version, milliseconds=outcome.milliseconds)
        return
    result = {
        "model_version": version,
        "bone_age_months": outcome.bone_age_months,
        "low_months": outcome.low_months,
        "high_months": outcome.high_months,
        "regions": {name: vars(region) for name, region in outcome.regions.items()},
        "mirrored": outcome.mirrored,
        "turned_degrees": outcome.turned_degrees,
        "milliseconds": outcome.milliseconds,
    }
    if isinstance(run, Analysis) and outcome.heat_map is not None:
        # The attempt is in the name: a worker that lost its lease never touches the file of its successor.
        overlay = ContentFile(overlay_png(outcome.heat_map, radiograph.pixels.shape))
        result["heat_map"] = storage.save(f"heat-maps/{run.pk}/{run.attempt}.png", overlay)
    workflow.finish(run, **result)


def _explain(error):
    match error:
        case registry.ModelUnavailable() | MissingWeights():
            return "model", (
                "The portal's model cannot be used at the moment. Tell the platform's staff; "
                "once they have put it right, try again."
            )
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
