"""A child's growth: measurements judged by their references, and the bone ages beside them."""

from dataclasses import dataclass

from clinical.growth import adult_height, centiles
from clinical.growth.velocity import SHORTEST_MONTHS, Velocity, growth_velocity
from clinical.patients.models import Measurement, Patient
from clinical.studies.models import Study

NEAR_MONTHS = 6  # a bone age read within this time of a height predicts the adult height from it


@dataclass(frozen=True)
class Reading:
    """The bone age of one study, the AI's and the doctor's value apart, in months; one of them may be None."""

    study: Study
    age_months: float
    ai_months: float | None
    doctor_months: float | None

    @property
    def corrected_age_months(self):
        return self.study.corrected_age_months

    @property
    def reference_age_months(self):
        """The age by which the bone age is judged."""
        return self.study.reference_age_months

    @property
    def bone_age_months(self):
        return self.ai_months if self.doctor_months is None else self.doctor_months

    @property
    def sex(self):
        """As a child of which the radiograph was read."""
        return (self.study.review or self.study.analysis).sex

    @property
    def method(self):
        review = self.study.review
        return review.get_method_display() if review else "AI estimate, not yet reviewed by a doctor"


@dataclass(frozen=True)
class Row:
    """A measurement with what follows from it; None where a height, a weight or an earlier height is missing.

    `corrected_age_months` is the age by which it is judged of a young child born preterm, else None.
    """

    measurement: Measurement
    age_months: float
    corrected_age_months: float | None
    height: centiles.Centile | None
    weight: centiles.Centile | None
    bmi_value: float | None
    bmi: centiles.Centile | None
    velocity: Velocity | None
    reading: Reading | None
    prediction: adult_height.Prediction | None

    @property
    def reference_age_months(self):
        """The age by which it is judged."""
        return self.age_months if self.corrected_age_months is None else self.corrected_age_months


@dataclass(frozen=True)
class GrowthRecord:
    """`rows` are newest first, `readings` oldest first; `target` is None unless both parents' heights are known."""

    patient: Patient
    rows: list[Row]
    readings: list[Reading]
    target: adult_height.TargetHeight | None

    @property
    def heights(self):
        """The rows with a height, oldest first."""
        return [row for row in reversed(self.rows) if row.height]

    @property
    def predicted(self):
        """The newest row with a predicted adult height, or None."""
        return next((row for row in self.rows if row.prediction and row.prediction.height_cm), None)

    @property
    def is_corrected(self):
        """Whether an age in it is corrected for a preterm birth."""
        return any(each.corrected_age_months is not None for each in (*self.rows, *self.readings))


def growth_record(patient):
    """The GrowthRecord of `patient`, in two queries."""
    measurements = list(patient.measurements.select_related("entered_by"))
    found = readings(patient)
    return GrowthRecord(
        patient,
        [_row(patient, each, measurements, found) for each in measurements],
        found,
        target_height(patient, patient.sex),
    )


def readings(patient):
    """A Reading for each study of `patient` with a bone age, oldest first."""
    studies = patient.studies.select_related("hospital", "patient", "analysis", "review").order_by("acquired_on", "pk")
    return [
        Reading(
            study,
            study.chronological_age_months,
            study.analysis.bone_age_months,
            study.review.bone_age_months if study.review else None,
        )
        for study in studies
        if study.bone_age_months is not None
    ]


def target_height(patient, sex):
    """The TargetHeight from the parents' heights, or None while one of them is unknown."""
    father, mother = patient.father_height_cm, patient.mother_height_cm
    return adult_height.target_height(father, mother, sex) if father and mother else None


def _row(patient, measurement, measurements, found):
    age, gestation = patient.age_on(measurement.measured_on), patient.gestational_age
    height, weight = measurement.height_cm, measurement.weight_kg
    bmi = centiles.bmi(height, weight) if height and weight else None
    # One read as that of a child of the other sex, before the record was corrected, predicts nothing.
    reading = _nearest([each for each in found if each.sex == patient.sex], age) if height else None

    def judged(measure, value):
        return None if value is None else centiles.assess(measure, value, age, patient.sex, gestation)

    return Row(
        measurement,
        age,
        patient.corrected_age_on(measurement.measured_on),
        judged("height", height),
        judged("weight", weight),
        bmi,
        judged("bmi", bmi),
        _velocity(patient, measurement, measurements) if height else None,
        reading,
        reading and adult_height.predict(height, reading.bone_age_months, reading.age_months, patient.sex, gestation),
    )


def _velocity(patient, measurement, measurements):
    """Growth since the last height at least three months earlier, or None."""
    earlier = [
        growth_velocity(
            patient.date_of_birth,
            each.measured_on,
            each.height_cm,
            measurement.measured_on,
            measurement.height_cm,
            patient.gestational_age,
        )
        for each in measurements
        if each.height_cm and each.measured_on < measurement.measured_on
    ]
    return min((each for each in earlier if each.months >= SHORTEST_MONTHS), key=lambda each: each.months, default=None)


def _nearest(found, age):
    near = [each for each in found if abs(each.age_months - age) <= NEAR_MONTHS]
    return min(near, key=lambda each: abs(each.age_months - age), default=None)
