"""One resumable fit: learning-rate schedule, wall-clock budget, checkpoints and progress."""

import json
import math
import time
from pathlib import Path

import keras

from inference.engine.presets import Fit
from inference.engine.weights import save_arrays

SAME_RATE = 0.03
"""Share by which the learning rate must have changed to be set anew."""
SECONDS_AHEAD = 5.0
"""How far the steps sent to an accelerator may run ahead of those done."""
SECONDS_BETWEEN_CHECKPOINTS = 60.0


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step and stops when the budget is spent.

    The position in the schedule is the share spent of the minutes or of the epochs, whichever is larger, so that a
    run cut to fit the time at hand still ends with a small learning rate.
    """

    WARM_UP = 0.05

    def __init__(self, fit: Fit, steps_per_epoch: int, minutes: float | None, spent: dict) -> None:
        super().__init__()
        self.fit, self.minutes = fit, minutes
        self.total_steps = fit.epochs * steps_per_epoch
        self.steps: int = spent["steps"]
        self.seconds_before: float = spent["seconds"]
        self.started = time.monotonic()
        self.set_rate = math.nan
        self.met = self.started

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    @property
    def share(self) -> float:
        by_time = self.seconds / (self.minutes * 60) if self.minutes else 0.0
        return min(1.0, max(by_time, self.steps / self.total_steps))

    def rate(self) -> float:
        if self.fit.schedule == "constant":
            return self.fit.learning_rate
        if self.share < self.WARM_UP:
            return self.fit.learning_rate * max(0.02, self.share / self.WARM_UP)
        position = (self.share - self.WARM_UP) / (1 - self.WARM_UP)
        return self.fit.learning_rate * max(1e-3, (1 + math.cos(math.pi * position)) / 2)

    # Nothing happens at the end of a step: Keras would wait for its result before it sends the next one.
    def on_train_batch_begin(self, batch, logs=None) -> None:
        rate, now = self.rate(), time.monotonic()
        if not math.isclose(rate, self.set_rate, rel_tol=SAME_RATE) or now - self.met > SECONDS_AHEAD:
            if keras.backend.backend() == "jax":
                # While an epoch runs its variables lie apart, and what is assigned to them is lost.
                self.model.jax_state_sync()
            self.model.optimizer.learning_rate = self.set_rate = rate
            int(self.model.optimizer.iterations)  # waits for the steps that were only sent so far
            self.met = now
        self.steps += 1
        if self.share >= 1.0:
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """Prints one line per epoch, with the mean absolute error in months on the validation data, and checkpoints: every
    minute, and at the end.
    """

    def __init__(self, schedule: Schedule, checkpoint: Path, months_error, history: list[dict]) -> None:
        super().__init__()
        self.schedule, self.checkpoint, self.months_error, self.history = schedule, checkpoint, months_error, history
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None) -> None:
        row = {
            "epoch": len(self.history) + 1,
            "minutes": round(self.schedule.seconds / 60, 2),
            "share": round(self.schedule.share, 3),
            "loss": round(float((logs or {})["loss"]), 5),
            "mae_months": round(self.months_error(self.model), 2),
        }
        self.history.append(row)
        print(json.dumps(row), flush=True)
        if self.schedule.share < 1.0 and time.monotonic() - self.saved < SECONDS_BETWEEN_CHECKPOINTS:
            return  # on an accelerator an epoch takes no longer than a checkpoint
        spent = {"steps": self.schedule.steps, "seconds": self.schedule.seconds, "history": self.history}
        save_checkpoint(self.model, self.checkpoint, spent)
        self.saved = time.monotonic()


def save_checkpoint(model: keras.Model, path: Path, spent: dict) -> None:
    """Model with optimizer, its weights alone in half precision, and what was spent, beside each other; an interrupted
    save leaves the last one whole.
    """
    # A fit goes on where there is a .keras file: that comes last.
    partial = {suffix: path.with_name(f"{path.stem}.partial{suffix}") for suffix in (".npz", ".json", ".keras")}
    save_arrays(model.get_weights(), partial[".npz"])
    partial[".json"].write_text(json.dumps(spent))
    model.save(partial[".keras"])
    for suffix, written in partial.items():
        written.replace(path.with_suffix(suffix))


def run_fit(
    model: keras.Model,
    batches: keras.utils.PyDataset,
    fit: Fit,
    *,
    checkpoint: Path,
    loss,
    months_error,
    minutes: float | None = None,
    loss_weights: dict[str, float] | None = None,
) -> keras.Model:
    """Fits until the epochs or the minutes are spent; goes on from the checkpoint where there is one.

    months_error(model) gives the validation error in months for the progress lines.
    """
    spent: dict = {"steps": 0, "seconds": 0.0, "history": []}
    if checkpoint.exists():
        model = keras.saving.load_model(checkpoint)
        spent = json.loads(checkpoint.with_suffix(".json").read_text())
        model.compile(model.optimizer, loss, loss_weights)  # a loss loses its parameters in the file
        print(f"resuming {checkpoint} at step {spent['steps']}", flush=True)
    else:
        model.compile(keras.optimizers.AdamW(fit.learning_rate, weight_decay=fit.weight_decay), loss, loss_weights)
    schedule = Schedule(fit, len(batches), minutes, spent)
    if schedule.share >= 1.0:
        return model
    batches.epoch = len(spent["history"])
    batches.shuffle()
    progress = Progress(schedule, checkpoint, months_error, spent["history"])
    model.fit(batches, epochs=fit.epochs, verbose=0, callbacks=[schedule, progress])
    return model
