"""The mean of several models."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from inference.engine.explanation import GRID, Explanation, Method
from inference.engine.model import BoneAgeModel, Prediction, Refusal
from inference.engine.orientation import orientation
from inference.engine.presets import Ensemble
from inference.engine.regions import scaled


class EnsembleModel(BoneAgeModel):
    """Reads with every member. What one of them refuses is refused; regions are those of the first that shows any.

    The interval is the mean of the members' intervals: wider than need be, since means err less than members do.
    """

    def __init__(self, preset: Ensemble, members: list[BoneAgeModel], version: str = "") -> None:
        """version: that of its card, where it was exported; else it is made of the members'."""
        version = version or "+".join(member.version for member in members)
        super().__init__(preset.name, {"name": preset.name, "version": version})
        self.members = members
        self.has_attention = any(member.has_attention for member in members)

    def _predict_batch(self, images: Sequence[np.ndarray], sexes: Sequence[str]) -> list[Prediction | Refusal]:
        each = [member.predict(images, sexes) for member in self.members]
        return [self._mean(outcomes) for outcomes in zip(*each, strict=True)]

    def _mean(self, outcomes: Sequence[Prediction | Refusal]) -> Prediction | Refusal:
        milliseconds = sum(outcome.milliseconds for outcome in outcomes)
        read = [outcome for outcome in outcomes if isinstance(outcome, Prediction)]
        if len(read) < len(outcomes):
            refused = next(outcome for outcome in outcomes if isinstance(outcome, Refusal))
            return replace(refused, milliseconds=milliseconds)
        return replace(
            next((outcome for outcome in read if outcome.heat_map is not None), read[0]),
            bone_age_months=fmean(outcome.bone_age_months for outcome in read),
            low_months=fmean(outcome.low_months for outcome in read),
            high_months=fmean(outcome.high_months for outcome in read),
            milliseconds=milliseconds,
        )

    def occlusion_row(self, image: np.ndarray, sex: str, row: int) -> np.ndarray | Refusal:
        """The mean of the members' rows."""
        months = []
        for member in self.members:
            outcome = member.occlusion_row(image, sex, row)
            if isinstance(outcome, Refusal):
                return outcome
            months.append(outcome)
        return np.mean(months, axis=0)

    def explain(
        self, image: np.ndarray, sex: str, method: Method, progress: Callable[[float], None] = lambda share: None
    ) -> Explanation | Refusal:
        if method != "occlusion":
            members = ", ".join(one.name for one in self.members)
            raise ValueError(f"{self.name} is a mean: it has an occlusion map, Grad-CAM is of its members, {members}.")
        rows: list[np.ndarray] = []
        for row in range(GRID):
            months = self.occlusion_row(image, sex, row)
            if isinstance(months, Refusal):
                return months
            rows.append(months)
            progress(len(rows) / GRID)
        moved = np.stack(rows)
        # How a hand lies is told without a network: the same for all members.
        return Explanation(method, orientation(image).stored(scaled(moved)), float(moved.max()))
