"""An average of a network's weights over its latest steps, which errs less than the weights of any one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

SHARPNESS = 9
"""The average reaches back over about 1 / (SHARPNESS + 1) of the steps done so far."""


# Not use_ema of Keras, whose momentum is one number: a window that suits the 20,000 steps of a GPU is longer than the
# whole of a training on a CPU, and still holds the first steps when that ends.
@keras.saving.register_keras_serializable(package="boneage")
class AveragingAdamW(keras.optimizers.AdamW):
    """AdamW that keeps `averages` of the trainable variables, by a power law (Karras et al., CVPR 2024): whatever the
    number of steps, they reach over the same share of them. They are saved with the optimizer.
    """

    def build(self, variables) -> None:
        built = self.built
        super().build(variables)
        if not built:
            self.averages = self.add_optimizer_variables(variables, "average")
            for average, variable in zip(self.averages, variables, strict=True):
                average.assign(ops.copy(variable))

    def update_step(self, gradient, variable, learning_rate) -> None:
        super().update_step(gradient, variable, learning_rate)
        average = self.averages[self._get_variable_index(variable)]
        share = SHARPNESS / (SHARPNESS + ops.cast(self.iterations, variable.dtype))
        self.assign_add(average, (ops.convert_to_tensor(variable) - average) * share)


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """The model with the averages in place of its weights, where its optimizer keeps any."""
    averages = getattr(model.optimizer, "averages", [])
    variables = model.trainable_variables if averages else []
    latest = [_copied(variable) for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(_copied(average))
    yield
    for variable, values in zip(variables, latest, strict=True):
        variable.assign(values)


def _copied(variable) -> np.ndarray:
    """Its values: two variables of one tensor are refused on JAX, where a step gives away the memory of each."""
    return np.array(ops.convert_to_numpy(variable))
