"""The networks on the other backends of Keras, where these are installed beside TensorFlow."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Most of the time goes into compiling each operation for a step or two.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_preset_trains_a_step_is_kept_and_reads_on_the_other_backends(backend):
    if not find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    training = HERE.parent / "training"
    tests = [
        *(HERE / name for name in ("test_networks.py", "test_layers.py")),
        *(training / name for name in ("test_accelerated_views.py", "test_fitting.py")),
    ]
    environment = os.environ | QUICK | {"KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-m", "pytest", *tests], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
