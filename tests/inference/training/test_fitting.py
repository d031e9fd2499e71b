import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from inference.engine.presets import Fit
from inference.engine.weights import load_arrays
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


class SameBatches(Line):
    """For where their order, which Keras draws, must not matter."""

    def __getitem__(self, index):
        return super().__getitem__(0)


def spent(steps=0, seconds=0.0):
    return {"steps": steps, "seconds": seconds, "history": []}


def error(model):
    return abs(float(model.get_weights()[0][0, 0]) - 2)


def fitted(checkpoint, epochs, averaged=False, months_error=error, batches=None, minutes=None):
    line = keras.Input((1,))
    return run_fit(
        keras.Model(line, keras.layers.Dense(1, use_bias=False)(line)),
        batches or Line(),
        Fit(epochs=epochs, batch=4, learning_rate=0.1, averaged=averaged),
        checkpoint=checkpoint,
        loss="mse",
        months_error=months_error,
        minutes=minutes,
    )


def state_of(checkpoint):
    return json.loads(checkpoint.with_suffix(".json").read_text())


class Clock:
    """In place of the module time."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    stopped = Clock()
    monkeypatch.setattr(fitting, "time", stopped)
    return stopped


def begun(schedule):
    schedule.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=0), jax_state_sync=lambda: None))
    schedule.on_train_batch_begin(0)
    return schedule


def test_one_cycle_warms_up_and_comes_down():
    rates = [Schedule(ONE_CYCLE, 100, None, spent(steps=steps)).rate() for steps in (0, 25, 50, 525, 1000)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1.0)
    assert rates[3] == pytest.approx(0.5)
    assert rates[4] == pytest.approx(1e-3)


def test_the_minutes_hurry_the_schedule_on():
    assert Schedule(ONE_CYCLE, 100, 1.0, spent(steps=10, seconds=31.5)).rate() == pytest.approx(0.5, abs=0.01)


def test_the_minutes_decide_alone_where_they_are_given():
    assert Schedule(ONE_CYCLE, 100, 1.0, spent(steps=5000, seconds=30)).share == pytest.approx(0.5, abs=0.01)


def test_a_fit_with_minutes_left_goes_on_beyond_its_epochs(tmp_path, monkeypatch):
    tick = count()
    monkeypatch.setattr(fitting, "time", SimpleNamespace(monotonic=lambda: next(tick)))  # a second at every look
    fitted(tmp_path / "line.keras", epochs=1, minutes=5)
    assert state_of(tmp_path / "line.keras")["steps"] > Line.__len__(None)
    assert state_of(tmp_path / "line.keras")["seconds"] >= 300


def test_the_time_to_compile_the_first_step_counts_towards_the_deadline_alone(clock):
    schedule = begun(Schedule(ONE_CYCLE, 100, 10.0, spent()))
    clock.now = 240
    schedule.on_train_batch_begin(1)
    assert schedule.share == 0
    assert schedule.set_rate == pytest.approx(0.02)
    shares = []
    for clock.now in (330, 420, 599, 600):
        schedule.on_train_batch_begin(2)
        shares.append(schedule.share)
    assert shares == pytest.approx([0.25, 0.5, 359 / 360, 1])
    assert schedule.model.stop_training


def test_a_fit_that_goes_on_compiles_again_and_keeps_its_place(clock):
    schedule = begun(Schedule(ONE_CYCLE, 100, 10.0, {**spent(steps=80, seconds=330), "compiling": 240}))
    clock.now = 60
    schedule.on_train_batch_begin(1)
    assert schedule.compiling == 300
    assert schedule.share == pytest.approx(90 / 300)
    clock.now = 270
    assert schedule.share == 1


def test_a_fit_that_takes_longer_to_compile_than_it_has_ends_after_its_first_step(clock):
    schedule = begun(Schedule(ONE_CYCLE, 100, 1.0, spent()))
    clock.now = 61
    schedule.on_train_batch_begin(1)
    assert schedule.share == 1
    assert schedule.model.stop_training


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
    assert state_of(checkpoint)["steps"] == 24
    model = fitted(checkpoint, epochs=5)
    state = state_of(checkpoint)
    assert state["steps"] == 40
    assert [row["epoch"] for row in state["history"]] == [1, 2, 3, 4, 5]
    assert int(model.optimizer.iterations.numpy()) == 40
    assert "resuming" in capsys.readouterr().out


def test_checkpoints_within_an_epoch_are_of_the_steps_that_were_done(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SECONDS_TO_FIRST_CHECKPOINT", 0)
    monkeypatch.setattr(fitting, "CHECKPOINT_SHARE", 1e9)
    save, steps = fitting.save_checkpoint, []

    def told(model, path, spent):
        steps.append((spent["steps"], int(model.optimizer.iterations)))
        save(model, path, spent)

    monkeypatch.setattr(fitting, "save_checkpoint", told)
    fitted(tmp_path / "line.keras", epochs=1)
    assert steps == [(done, done) for done in (2, 3, 4, 5, 6, 7, 8)]


def test_a_fit_cut_short_within_an_epoch_goes_on_with_the_next(tmp_path):
    checkpoint, batches = tmp_path / "line.keras", Line()
    fitted(checkpoint, epochs=1)
    checkpoint.with_suffix(".json").write_text(json.dumps(spent(steps=5)))
    fitted(checkpoint, epochs=2, batches=batches)
    assert batches.epoch == 1
    assert state_of(checkpoint)["steps"] == 16


def test_the_end_of_a_fit_is_kept_before_it_is_validated(tmp_path):
    def killed(model):
        raise KeyboardInterrupt

    checkpoint = tmp_path / "line.keras"
    with pytest.raises(KeyboardInterrupt):
        fitted(checkpoint, epochs=1, months_error=killed)
    assert state_of(checkpoint)["steps"] == 8
    assert int(keras.saving.load_model(checkpoint).optimizer.iterations) == 8


def test_validation_takes_its_share_of_the_time_and_comes_at_the_end(tmp_path, clock):
    class Slow(Line):
        def on_epoch_end(self):
            clock.now += 2

    def slowly(model):
        clock.now += 1
        return error(model)

    fitted(tmp_path / "line.keras", epochs=26, months_error=slowly, batches=Slow())
    history = state_of(tmp_path / "line.keras")["history"]
    assert [row["epoch"] for row in history] == list(range(1, 27))
    assert [row["epoch"] for row in history if "mae_months" in row] == [1, 2, 12, 22, 26]


def test_the_average_of_the_weights_is_validated_and_kept_and_the_fit_goes_on_from_the_latest(tmp_path):
    seen = []

    def error_of(model):
        seen.append(float(model.get_weights()[0][0, 0]))
        return error(model)

    latest = {}
    for averaged in (False, True):
        keras.utils.set_random_seed(3)
        checkpoint = tmp_path / f"{averaged}.keras"
        fitted(checkpoint, epochs=2, averaged=averaged, months_error=error_of, batches=SameBatches())
        latest[averaged] = keras.saving.load_model(checkpoint).get_weights()[0]
    [kept] = load_arrays(checkpoint.with_suffix(".npz"))
    assert latest[True] == pytest.approx(latest[False])
    assert seen[3] == pytest.approx(kept[0, 0], rel=1e-3)
    assert abs(seen[3] - seen[1]) > 0.01


def test_an_interrupted_fit_keeps_the_average(tmp_path):
    kept = []
    for parts in ((1, 3), (3,)):
        keras.utils.set_random_seed(3)
        checkpoint = tmp_path / f"{len(parts)}.keras"
        for epochs in parts:
            fitted(checkpoint, epochs, averaged=True, batches=SameBatches())
        kept.append(load_arrays(checkpoint.with_suffix(".npz"))[0])
    np.testing.assert_allclose(*kept, rtol=1e-3)


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
