from types import SimpleNamespace

import pytest
from celery.concurrency.prefork import TaskPool
from celery.concurrency.solo import TaskPool as SoloPool

from inference.worker import refuse_wrong_setup


def check(queues=("inference",), pool=TaskPool, concurrency=1, prefetch=1):
    instance = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues)))),
        pool_cls=pool,
        concurrency=concurrency,
    )
    refuse_wrong_setup("worker@host", instance, SimpleNamespace(worker_prefetch_multiplier=prefetch))


def test_a_worker_that_is_set_up_right_starts():
    check()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pool": SoloPool}, "--pool prefork"),
        ({"concurrency": 2}, "--concurrency 1"),
        ({"prefetch": 4}, "--prefetch-multiplier 1"),
    ],
)
def test_a_worker_that_is_set_up_wrongly_says_so_and_exits(wrong, words):
    with pytest.raises(SystemExit, match=words):
        check(**wrong)


def test_a_worker_of_other_queues_may_be_set_up_as_it_likes():
    check(queues=["default"], pool=SoloPool, concurrency=8, prefetch=4)
