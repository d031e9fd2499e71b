import runpy

import pytest

from inference.engine import runtimes


@pytest.mark.parametrize(("given", "threads"), [(None, 0), ("", 0), ("0", 0), ("3", 3)])
def test_threads_that_are_given_empty_are_not_given(monkeypatch, given, threads):
    monkeypatch.delenv("BONEAGE_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("BONEAGE_THREADS", given)
    assert runpy.run_path(runtimes.__file__)["THREADS"] == threads
