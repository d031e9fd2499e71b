"""A worker that is set up wrongly says so and exits, rather than losing studies later."""

import logging

from celery.concurrency.prefork import TaskPool
from celery.signals import celeryd_after_setup, worker_ready
from django.db import connections

from inference.engine.weights import MissingWeights

logger = logging.getLogger(__name__)


@celeryd_after_setup.connect
def refuse_wrong_setup(sender, instance, conf, **kwargs):
    if "inference" not in instance.app.amqp.queues.consume_from:
        return
    problems = []
    if not issubclass(instance.pool_cls, TaskPool):
        problems.append("other pools have no time limits: start it with --pool prefork")
    if instance.concurrency != 1:
        problems.append("one process to a GPU: start it with --concurrency 1")
    if conf.worker_prefetch_multiplier != 1:
        problems.append("a waiting study must be free for any worker: start it with --prefetch-multiplier 1")
    if problems:
        raise SystemExit(f"Worker {sender} serves the queue 'inference' and is set up wrongly: {'; '.join(problems)}.")


@worker_ready.connect
def register_deployed_model(sender, **kwargs):
    from inference import registry

    if "inference" not in sender.app.amqp.queues.consume_from:
        return
    try:
        registry.register_deployed()
    except MissingWeights as error:
        logger.error("%s", error)
    finally:
        connections.close_all()  # a child forked later must not inherit them


@worker_ready.connect
def look_for_due_analyses(sender, **kwargs):
    from inference.tasks import requeue_due

    requeue_due.delay()
