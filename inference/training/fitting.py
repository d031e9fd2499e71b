"""One resumable fit: learning-rate schedule, wall-clock budget, checkpoints and progress."""

import json
import math
import time
from pathlib import Path

import keras

from inference.engine.presets import Fit
from inference.engine.weights import save_arrays
from inference.training.averaging import AveragingAdamW, averaged
from inference.training.files import replacing

SAME_RATE = 0.03
"""Share by which the learning rate must have changed to be set anew."""
SECONDS_AHEAD = 5.0
"""How far the steps sent to an accelerator may run ahead of those done."""
SECONDS_TO_FIRST_CHECKPOINT = 10.0
CHECKPOINT_SHARE = 0.05
"""How much of the time may go into checkpoints: what an interruption loses is 20 times what one takes."""
VALIDATION_SHARE = 0.05
"""How much may go into validation, but for the first two and the last: a GPU trains an epoch in little more time."""
ENDLESS = 1_000_000
"""Epochs for Keras: the schedule ends the fit."""


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step and stops when the budget is spent: the minutes, where they are given,
    else the epochs of the fit.

    The position in the schedule is the share of it that is spent, so that a run cut to the time at hand still ends
    with a small learning rate. The time until the first step has run, which goes into compiling it, counts towards
    the deadline alone: the whole schedule is laid over what is left.
    """

    WARM_UP = 0.05

    def __init__(self, fit: Fit, steps_per_epoch: int, minutes: float | None, spent: dict) -> None:
        super().__init__()
        self.fit = fit
        self.deadline = minutes * 60 if minutes else None
        self.total_steps = fit.epochs * steps_per_epoch
        self.steps: int = spent["steps"]
        self.steps_before = self.steps
        self.seconds_before: float = spent["seconds"]
        self.compiling: float = spent.get("compiling", 0.0)
        """Seconds until the first step had run, of all processes that had a part in the fit."""
        self.position_before = self.seconds_before - self.compiling
        self.started = time.monotonic()
        self.set_rate = math.nan
        self.met = self.started

    @property
    def sent(self) -> int:
        """Steps of this process."""
        return self.steps - self.steps_before

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    @property
    def share(self) -> float:
        if self.deadline is None:
            return min(1.0, self.steps / self.total_steps)
        if self.seconds >= self.deadline:
            return 1.0
        return (self.seconds - self.compiling) / (self.deadline - self.compiling)

    def rate(self) -> float:
        if self.fit.schedule == "constant":
            return self.fit.learning_rate
        if self.share < self.WARM_UP:
            return self.fit.learning_rate * max(0.02, self.share / self.WARM_UP)
        position = (self.share - self.WARM_UP) / (1 - self.WARM_UP)
        return self.fit.learning_rate * max(1e-3, (1 + math.cos(math.pi * position)) / 2)

    def wait(self) -> None:
        """Until the steps that were only sent so far are done."""
        if keras.backend.backend() == "jax":
            # While an epoch runs the model's variables lie apart, and what is assigned to them is lost.
            self.model.jax_state_sync()
        int(self.model.optimizer.iterations)
        self.met = time.monotonic()

    # Nothing happens at the end of a step: Keras would wait for its result before it sends the next one.
    def on_train_batch_begin(self, batch, logs=None) -> None:
        if self.sent == 1:
            self.wait()
        if self.sent <= 1:
            self.compiling = self.seconds - self.position_before
        rate = self.rate()
        if not math.isclose(rate, self.set_rate, rel_tol=SAME_RATE) or time.monotonic() - self.met > SECONDS_AHEAD:
            self.wait()
            self.model.optimizer.learning_rate = self.set_rate = rate
        self.steps += 1
        if self.share >= 1.0:
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """Prints one line per epoch, where VALIDATION_SHARE allows it with the mean absolute error in months on the
    validation data, and keeps checkpoints: whenever CHECKPOINT_SHARE of the time allows another, within an epoch too,
    and at the end, before anything else.
    """

    def __init__(self, schedule: Schedule, checkpoint: Path, months_error, history: list[dict]) -> None:
        super().__init__()
        self.schedule, self.checkpoint, self.months_error, self.history = schedule, checkpoint, months_error, history
        self.saved = time.monotonic()
        self.pause = SECONDS_TO_FIRST_CHECKPOINT
        self.next_validation = self.saved
        self.validated = False

    def on_train_batch_begin(self, batch, logs=None) -> None:
        if self.schedule.sent > 1 and time.monotonic() - self.saved > self.pause:
            self.save()

    def on_epoch_end(self, epoch, logs=None) -> None:
        ended = self.schedule.share >= 1.0
        if ended:
            self.save()  # a deadline of the whole process may not leave time for the validation
        row = {
            "epoch": len(self.history) + 1,
            "minutes": round(self.schedule.seconds / 60, 2),
            "share": round(self.schedule.share, 3),
            "loss": round(float((logs or {})["loss"]), 5),
        }
        if ended or time.monotonic() >= self.next_validation:
            row["mae_months"] = round(self.validate(), 2)
        self.history.append(row)
        print(json.dumps(row), flush=True)
        if ended:
            with replacing(self.checkpoint.with_suffix(".json")) as progress:
                progress.write_text(json.dumps(self.spent()))

    def validate(self) -> float:
        started = time.monotonic()
        with averaged(self.model):
            error = self.months_error(self.model)
        if self.validated:  # the first compiles it, which says nothing of the next
            ended = time.monotonic()
            self.next_validation = ended + (ended - started) / VALIDATION_SHARE
        self.validated = True
        return error

    def spent(self) -> dict:
        told = ("steps", "seconds", "compiling")
        return {name: getattr(self.schedule, name) for name in told} | {"history": self.history}

    def save(self) -> None:
        self.schedule.wait()
        started = time.monotonic()
        save_checkpoint(self.model, self.checkpoint, self.spent())
        self.saved = time.monotonic()
        self.pause = (self.saved - started) / CHECKPOINT_SHARE


def save_checkpoint(model: keras.Model, path: Path, spent: dict) -> None:
    """Model with optimizer, its weights alone (their average, where there is one) in half precision, and what was
    spent, beside each other; an interrupted save leaves the last one whole.
    """
    # A fit goes on where there is a .keras file: that is replaced last.
    with (
        replacing(path) as whole,
        replacing(path.with_suffix(".json")) as progress,
        replacing(path.with_suffix(".npz")) as weights,
    ):
        with averaged(model):
            save_arrays(model.get_weights(), weights)
        progress.write_text(json.dumps(spent))
        model.save(whole)


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
    """Fits until the minutes are spent, or without them the epochs; goes on from the checkpoint where there is one.

    months_error(model) gives the validation error in months for the progress lines.
    """
    spent: dict = {"steps": 0, "seconds": 0.0, "history": []}
    if checkpoint.exists():
        model = keras.saving.load_model(checkpoint)
        spent = json.loads(checkpoint.with_suffix(".json").read_text())
        model.compile(model.optimizer, loss, loss_weights)  # a loss loses its parameters in the file
        print(f"resuming {checkpoint} at step {spent['steps']}", flush=True)
    else:
        optimizer = AveragingAdamW if fit.averaged else keras.optimizers.AdamW
        model.compile(optimizer(fit.learning_rate, weight_decay=fit.weight_decay), loss, loss_weights)
        model.optimizer.build(model.trainable_variables)
    schedule = Schedule(fit, len(batches), minutes, spent)
    if schedule.share >= 1.0:
        return model
    batches.epoch = -(-schedule.steps // len(batches))  # an epoch that was cut short is not seen twice
    batches.shuffle()
    progress = Progress(schedule, checkpoint, months_error, spent["history"])
    # The checkpoint is of the steps that are done, before the schedule counts the next one.
    model.fit(batches, epochs=ENDLESS, verbose=0, callbacks=[progress, schedule])
    return model
