"""What a report says, gathered from the study, the review that it stands on, and the child's earlier studies."""

import itertools
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import date

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from clinical.growth import adult_height, centiles
from clinical.growth.ages import difference_shown
from clinical.growth.bone_age import assess
from clinical.growth.velocity import bone_age_velocity
from clinical.patients.growth_record import NEAR_MONTHS, target_height
from clinical.studies.intake import RIGHT_HAND
from clinical.studies.models import SIGNED
from reports import chart, pictures


@dataclass(frozen=True)
class Reading:
    """A signed bone age in the comparison, and the age by which it is judged.

    `velocity`: years of bone age per year since the one before, or None.
    """

    day: date
    age_months: float
    bone_age_months: float
    sds: float | None
    is_corrected: bool = False
    velocity: float | None = None


def of_report(report):
    """The context of "reports/report.html" for a signed report. Raises FileNotFoundError without the radiograph."""
    context = {"report": report, "predecessor": report.predecessor, "check": _check(report)}
    return _content(report.study_as_signed, report.review) | context


def of_draft(study):
    """The same for a study that nobody has signed, and perhaps nobody but the model has read."""
    return _content(study, study.review)


def _content(study, review):
    analysis = review.analysis if review else study.analysis
    # What a doctor has read stays as it was judged then, whatever has been corrected since.
    judged = review or study.judged(analysis.bone_age_months)
    bone_age, assessment = judged.bone_age_months, judged.assessment
    readings = _readings(study, judged)
    return {
        "study": study,
        "hospital": study.hospital,
        "patient": study.patient,
        "age": judged.age_months,
        "analysis": analysis,
        "review": review,
        "bone_age": bone_age,
        "difference": difference_shown(bone_age, assessment.age_months),
        "sex": judged.get_sex_display(),
        "assessment": assessment,
        "impression": review.impression if review else study.impression(bone_age),
        "laterality": "right" if RIGHT_HAND in study.notices else "left",
        "estimate_differs": _differs(analysis.bone_age_months, bone_age),
        "growth": _growth(study, judged),
        "readings": readings,
        "is_corrected": any(reading.is_corrected for reading in readings),
        "chart": _chart(judged, readings),
        "logo": pictures.logo(study.hospital),
        "radiograph": pictures.radiograph(study.radiograph),
        "attention": pictures.attention(study.radiograph, analysis.heat_map),
    }


def _chart(judged, readings):
    """An SVG in base64, or nothing where there is nothing to compare."""
    if len(readings) == 1:
        return ""
    return b64encode(chart.svg(judged.sex, judged.reference, readings).encode()).decode()


def _differs(estimate, bone_age):
    return estimate is not None and round(estimate) != round(bone_age)


def _readings(study, judged):
    """The signed bone ages of the child up to this study, by the sex and table of this report, oldest first."""
    earlier = study.patient.studies.filter(
        Q(acquired_on__lt=study.acquired_on) | Q(acquired_on=study.acquired_on, submitted_at__lt=study.submitted_at),
        state__in=SIGNED,
    )
    # Their patient is that of `study`: as it stood at the signature.
    earlier = earlier.select_related("review").order_by("acquired_on", "submitted_at")
    gestation = study.patient.gestational_age
    ages = [(other.acquired_on, other.chronological_age_months, other.review.bone_age_months) for other in earlier]
    readings = [
        _reading(day, bone_age, assess(bone_age, age, judged.sex, judged.reference, gestation))
        for day, age, bone_age in ages
    ]
    readings.append(_reading(study.acquired_on, judged.bone_age_months, judged.assessment))
    return [readings[0], *(_since(before, reading) for before, reading in itertools.pairwise(readings))]


def _reading(day, bone_age, assessment):
    return Reading(day, assessment.age_months, bone_age, assessment.sds, bool(assessment.gestation))


def _since(before, reading):
    velocity = bone_age_velocity(before.day, before.bone_age_months, reading.day, reading.bone_age_months).value
    return replace(reading, velocity=velocity)


def _growth(study, judged):
    """The height nearest to the study and what follows from it, or None without a height of that time."""
    patient, age, sex = study.patient, judged.age_months, judged.sex
    measurement = min(
        patient.measurements.filter(height_cm__isnull=False),
        key=lambda each: abs(each.measured_on - study.acquired_on),
        default=None,
    )
    if measurement is None:
        return None
    measured_at = patient.age_on(measurement.measured_on)
    if abs(measured_at - age) > NEAR_MONTHS:
        return None
    return {
        "measurement": measurement,
        "height": centiles.assess("height", measurement.height_cm, measured_at, sex, patient.gestational_age),
        "corrected_age": patient.corrected_age_on(measurement.measured_on),
        "prediction": adult_height.predict(
            measurement.height_cm, judged.bone_age_months, age, sex, judged.gestational_age
        ),
        "target": target_height(patient, sex),
    }


def _check(report):
    address = settings.PORTAL_URL + reverse("reports:verify")
    return {"address": address, "link": f"{address}?code={report.code}"}
