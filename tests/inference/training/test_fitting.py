import json
from pathlib import Path

import keras
import numpy as np
import pytest

from inference.engine.presets import Fit
from inference.training import fitting
from inference.training.fitting import Schedule, run_fit

ONE_CYCLE = Fit(epochs=10, batch=4, learning_rate=1.0, schedule="one_cycle")


class Line(keras.utils.PyDataset):
    """Points of y = 2 x."""

    epoch = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        x = np.random.default_rng(index).normal(size=(4, 1)).astype(np.float32)
        return x, 2 * x

    def shuffle(self):
        pass


def spent(steps=0, seconds=0.0):
    return {"steps": steps, "seconds": seconds, "history": []}


def fitted(checkpoint, epochs):
    line = keras.Input((1,))
    return run_fit(
        keras.Model(line, keras.layers.Dense(1, use_bias=False)(line)),
        Line(),
        Fit(epochs=epochs, batch=4, learning_rate=0.1),
        checkpoint=checkpoint,
        loss="mse",
        months_error=lambda model: abs(float(model.get_weights()[0][0, 0]) - 2),
    )


def test_one_cycle_warms_up_and_comes_down():
    rates = [Schedule(ONE_CYCLE, 100, None, spent(steps=steps)).rate() for steps in (0, 25, 50, 525, 1000)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1.0)
    assert rates[3] == pytest.approx(0.5)
    assert rates[4] == pytest.approx(1e-3)


def test_the_minutes_hurry_the_schedule_on():
    assert Schedule(ONE_CYCLE, 100, 1.0, spent(steps=10, seconds=31.5)).rate() == pytest.approx(0.5, abs=0.01)


def test_a_rate_that_changes_within_an_epoch_counts(tmp_path, monkeypatch):
    """On JAX a variable that is assigned while an epoch runs is lost, unless the model is told first."""
    weights = []
    for late_rate in (0.0, 0.1):
        monkeypatch.setattr(Schedule, "rate", lambda self, late=late_rate: late if self.steps >= 4 else 0.0)
        keras.utils.set_random_seed(3)
        weights.append(fitted(tmp_path / f"{late_rate}.keras", epochs=1).get_weights()[0])
    assert np.abs(weights[1] - weights[0]).min() > 0.05


def test_the_published_schedule_is_constant():
    fit = Fit(epochs=2, batch=4, learning_rate=3e-4)
    assert {Schedule(fit, 100, None, spent(steps=steps)).rate() for steps in (0, 100, 200)} == {3e-4}


def test_an_interrupted_fit_goes_on_where_it_was(tmp_path, capsys):
    checkpoint = tmp_path / "line.keras"
    fitted(checkpoint, epochs=3)
    assert json.loads(checkpoint.with_suffix(".json").read_text())["steps"] == 24
    model = fitted(checkpoint, epochs=5)
    state = json.loads(checkpoint.with_suffix(".json").read_text())
    assert state["steps"] == 40
    assert [row["epoch"] for row in state["history"]] == [1, 2, 3, 4, 5]
    assert int(model.optimizer.iterations.numpy()) == 40
    assert "resuming" in capsys.readouterr().out


@pytest.mark.parametrize("broken", [(fitting, "save_arrays"), (keras.Model, "save"), (fitting.Path, "write_text")])
def test_an_interrupted_save_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch, broken):
    checkpoint = tmp_path / "line.keras"
    fitted(checkpoint, epochs=1)
    files = [checkpoint.with_suffix(suffix) for suffix in (".keras", ".npz", ".json")]
    before = [path.read_bytes() for path in files]

    def interrupted(one, *rest, **options):
        for part in (one, *rest):
            if isinstance(part, Path):
                part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(*broken, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(checkpoint, epochs=2)
    assert [path.read_bytes() for path in files] == before


def test_a_finished_fit_does_nothing_more(tmp_path):
    checkpoint = tmp_path / "line.keras"
    first = fitted(checkpoint, epochs=2).get_weights()
    np.testing.assert_array_equal(fitted(checkpoint, epochs=2).get_weights(), first)
