"""A candidate beside the versions that served: what both read in the same radiographs, and what doctors signed."""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np
from django.db.models import F

from clinical.growth.ages import age_in_months
from clinical.studies.models import SIGNED, Method, Review, Study
from inference.models import ModelVersion, ShadowAnalysis
from inference.models import State as AnalysisState

AGREEMENT_MONTHS = (6, 12)
BAND_YEARS = 2
LIMITS_SD = 1.96  # Bland and Altman's limits of agreement, which hold 95 % of normal differences
LISTED = 20


@dataclass(frozen=True)
class Pair:
    """One radiograph that both versions have looked at; months, and None for what they refused."""

    key: UUID
    analysis: UUID
    sex: str
    serving: float | None
    candidate: float | None
    serving_milliseconds: float | None
    candidate_milliseconds: float | None
    age: float | None
    """Chronological, in months; None where the study has gone on with another analysis."""
    doctor: float | None
    """The bone age of a signed review."""
    independent: bool
    """Whether the doctor read the radiograph, and did not accept the estimate of the version that served."""

    @property
    def difference(self):
        """Candidate minus serving version, in months."""
        return self.candidate - self.serving

    @property
    def mean(self):
        return (self.candidate + self.serving) / 2


class Group:
    """Figures over pairs that both have read. Months; shares in per cent; None where there is nothing to tell."""

    def __init__(self, title, pairs):
        self.title = title
        self.n = len(pairs)
        differences = np.array([pair.difference for pair in pairs])
        self.bias = float(differences.mean()) if self.n else None
        self.sd = float(differences.std(ddof=1)) if self.n > 1 else None
        self.within = [
            100 * float((np.abs(differences) <= months).mean()) if self.n else None for months in AGREEMENT_MONTHS
        ]
        self.signed = Errors([pair for pair in pairs if pair.doctor is not None])
        self.independent = Errors([pair for pair in pairs if pair.doctor is not None and pair.independent])

    @property
    def limits(self):
        """The limits of agreement, lower and upper."""
        return None if self.sd is None else (self.bias - LIMITS_SD * self.sd, self.bias + LIMITS_SD * self.sd)


class Errors:
    """Mean absolute error of both versions against the doctors, in months."""

    def __init__(self, pairs):
        self.n = len(pairs)
        doctors = np.array([pair.doctor for pair in pairs])
        self.serving, self.candidate = (
            float(np.abs(np.array([getattr(pair, name) for pair in pairs]) - doctors).mean()) if pairs else None
            for name in ("serving", "candidate")
        )


@dataclass(frozen=True)
class Comparison:
    candidate: ModelVersion
    serving: list[ModelVersion]
    pairs: list[Pair]
    """Newest first, refusals among them."""
    waiting: int
    failed: int

    @cached_property
    def read(self):
        """The pairs that both have read."""
        return [pair for pair in self.pairs if pair.serving is not None and pair.candidate is not None]

    @cached_property
    def all(self):
        return Group("All", self.read)

    @cached_property
    def groups(self):
        """By sex, and by two years of chronological age."""
        groups = [Group(name, [pair for pair in self.read if pair.sex == sex]) for sex, name in SEXES]
        bands = {}
        for pair in self.read:
            if pair.age is not None:
                bands.setdefault(int(pair.age // (12 * BAND_YEARS)), []).append(pair)
        groups += [
            Group(f"{BAND_YEARS * band} to {BAND_YEARS * (band + 1)} years", bands[band]) for band in sorted(bands)
        ]
        return groups

    @cached_property
    def refused_by_both(self):
        return sum(pair.serving is None and pair.candidate is None for pair in self.pairs)

    @cached_property
    def refused_by_serving(self):
        return [pair for pair in self.pairs if pair.serving is None and pair.candidate is not None]

    @cached_property
    def refused_by_candidate(self):
        return [pair for pair in self.pairs if pair.serving is not None and pair.candidate is None]

    @property
    def refused_by_one(self):
        return (self.refused_by_candidate + self.refused_by_serving)[:LISTED]

    @property
    def furthest_apart(self):
        return sorted(self.read, key=lambda pair: -abs(pair.difference))[:LISTED]

    @property
    def times(self):
        """Median and 95th percentile of the time in the model: (name, milliseconds, milliseconds)."""
        for name in ("serving", "candidate"):
            times = [value for pair in self.pairs if (value := getattr(pair, f"{name}_milliseconds")) is not None]
            if times:
                yield name, *(float(value) for value in np.percentile(times, (50, 95)))


SEXES = (("F", "Girls"), ("M", "Boys"))
OF_STUDY = ("analysis", "acquired_on", "patient__date_of_birth", "state", "review__bone_age_months", "review__method")
OF_REVIEW = (
    *("analysis", "study__acquired_on", "study__patient__date_of_birth", "study__state"),
    *("bone_age_months", "method"),
)


def compare(candidate):
    """The Comparison of a candidate's shadow run, over every hospital. Four queries, however many rows there are."""
    shadows = ShadowAnalysis.objects.filter(model_version=candidate)
    ended = shadows.filter(state__in=(AnalysisState.ANALYSED, AnalysisState.REJECTED))
    beside = ended.values("analysis")
    studies = {analysis: facts for analysis, *facts in Study.objects.filter(analysis__in=beside).values_list(*OF_STUDY)}
    # Signed on an analysis in whose place another version's has come since.
    earlier = Review.objects.filter(analysis__in=beside, study__review=F("pk")).exclude(study__analysis=F("analysis"))
    studies |= {analysis: facts for analysis, *facts in earlier.values_list(*OF_REVIEW)}
    states = dict.fromkeys(AnalysisState, 0)
    pairs, serving = [], set()
    for row in shadows.order_by("-queued_at").values_list(
        "state",
        "pk",
        "analysis",
        "sex",
        "analysis__bone_age_months",
        "bone_age_months",
        "analysis__milliseconds",
        "milliseconds",
        "analysis__model_version",
    ):
        state, *facts, version = row
        states[state] += 1
        if state in (AnalysisState.ANALYSED, AnalysisState.REJECTED):
            pairs.append(Pair(*facts, *_of_study(studies.get(facts[1]))))
            serving.add(version)
    return Comparison(
        candidate=candidate,
        serving=list(ModelVersion.objects.filter(pk__in=serving)),
        pairs=pairs,
        waiting=states[AnalysisState.QUEUED] + states[AnalysisState.ANALYSING],
        failed=states[AnalysisState.FAILED],
    )


def _of_study(facts):
    """(chronological age, signed bone age, whether it was read independently) of what is known of a study."""
    if facts is None:
        return None, None, False
    acquired_on, date_of_birth, state, bone_age, method = facts
    signed = bone_age if state in SIGNED else None
    return age_in_months(date_of_birth, acquired_on), signed, signed is not None and method != Method.AI
