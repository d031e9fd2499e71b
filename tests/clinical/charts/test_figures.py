"""What the charts show, trace by trace: on the axes ages in years and heights in cm."""

import json
from datetime import date

import pytest

from clinical.charts.dash_app import drawn
from clinical.charts.figures import bone_age_figure, height_figure
from clinical.growth import centiles
from clinical.growth.bone_age import REFERENCES, band
from clinical.patients.growth_record import growth_record
from tests.factories import AnalysisFactory, MeasurementFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def record(patient):
    """Two studies, the later one read by a doctor, and two heights, with both parents' heights known."""
    patient.mother_height_cm, patient.father_height_cm = 164, 180
    for day, ai in ((date(2023, 5, 1), 104), (date(2024, 5, 1), 118)):
        analysis = AnalysisFactory(
            hospital=patient.hospital, bone_age_months=ai, low_months=ai - 8, high_months=ai + 10
        )
        study = StudyFactory(patient=patient, analysis=analysis, acquired_on=day, state="analysed")
    study.review = ReviewFactory(study=study, bone_age_months=124)
    study.save()
    MeasurementFactory(patient=patient, measured_on=date(2023, 5, 1), height_cm=131)
    MeasurementFactory(patient=patient, measured_on=date(2024, 5, 1), height_cm=137.5)
    return growth_record(patient)


def traces(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


def test_ai_and_doctor_are_plotted_apart_over_all_studies(record, patient):
    shown = traces(bone_age_figure(record, "brush"))
    ages = [patient.age_on(day) / 12 for day in (date(2023, 5, 1), date(2024, 5, 1))]
    assert shown["AI estimate"].x == pytest.approx(ages)
    assert shown["AI estimate"].y == pytest.approx([104 / 12, 118 / 12])
    assert shown["AI estimate"].error_y.array == pytest.approx([10 / 12, 10 / 12])
    assert shown["AI estimate"].error_y.arrayminus == pytest.approx([8 / 12, 8 / 12])
    assert shown["Doctor's reading"].x == pytest.approx(ages[1:])
    assert shown["Doctor's reading"].y == pytest.approx([124 / 12])


def test_an_estimate_without_an_interval_is_plotted_all_the_same(patient):
    StudyFactory(patient=patient, state="analysed", analysis__bone_age_months=110)
    figure = bone_age_figure(growth_record(patient), "brush")
    assert traces(figure)["AI estimate"].y == pytest.approx([110 / 12])


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_band_is_two_sd_of_the_named_table_and_the_line_is_identity(record, reference):
    figure = bone_age_figure(record, reference)
    norms = band("F", reference)
    low, high = figure.data[:2]
    assert high.name == f"±2 SD, {REFERENCES[reference].name}"
    assert low.y == pytest.approx([norm.low / 12 for norm in norms])
    assert high.y == pytest.approx([norm.high / 12 for norm in norms])
    assert high.fill == "tonexty"
    identity = traces(figure)["Bone age = age"]
    assert identity.x == identity.y


def test_every_bone_age_lies_within_the_axes(patient):
    for day, months in ((date(2015, 1, 1), 1), (date(2026, 9, 1), 228)):
        analysis = AnalysisFactory(hospital=patient.hospital, bone_age_months=months, low_months=0, high_months=228)
        StudyFactory(patient=patient, analysis=analysis, acquired_on=day, state="analysed")
    figure = bone_age_figure(growth_record(patient), "brush")
    low, high = figure.layout.xaxis.range
    assert (low, high) == tuple(figure.layout.yaxis.range)
    assert low <= 1 / 12
    assert high >= 19


def test_a_grown_up_lies_within_the_axes_and_so_does_an_estimate_that_was_overruled(patient):
    patient.date_of_birth = date(2002, 3, 9)
    patient.save()
    study = StudyFactory(patient=patient, state="analysed", analysis__bone_age_months=100)
    study.review = ReviewFactory(study=study, bone_age_months=216)
    study.save()
    low, high = bone_age_figure(growth_record(patient), "brush").layout.xaxis.range
    assert low < 100 / 12
    assert high > 22.2


@pytest.mark.parametrize(
    ("born", "height_cm"),
    [
        (date(2022, 3, 1), 70),  # small for 26 months
        (date(2024, 4, 30), 37),  # born too early
        (date(2014, 3, 9), 212),
        (date(2002, 3, 9), 180),  # grown up
    ],
)
def test_every_height_lies_within_the_axes(patient, born, height_cm):
    patient.date_of_birth = born
    MeasurementFactory(patient=patient, height_cm=height_cm, weight_kg=None)
    layout = height_figure(growth_record(patient)).layout
    assert layout.xaxis.range[0] <= patient.age_on(date(2024, 5, 1)) / 12 < layout.xaxis.range[1]
    assert layout.yaxis.range[0] < height_cm < layout.yaxis.range[1]


def test_a_tall_prediction_and_the_range_of_a_tall_target_lie_within_the_axes(patient):
    patient.sex, patient.mother_height_cm, patient.father_height_cm = "M", 195, 210
    MeasurementFactory(patient=patient, height_cm=188)
    StudyFactory(patient=patient, state="analysed", analysis__bone_age_months=156)
    record = growth_record(patient)
    assert record.predicted.prediction.height_cm > 205
    outermost = max(record.predicted.prediction.height_cm, record.target.high_cm)
    assert height_figure(record).layout.yaxis.range[1] > outermost


def test_heights_are_plotted_at_chronological_and_at_bone_age(record, patient):
    shown = traces(height_figure(record))
    assert shown["Height at age"].x == pytest.approx([row.age_months / 12 for row in record.heights])
    assert shown["Height at age"].y == (131, 137.5)
    assert shown["Height at bone age"].x == pytest.approx([104 / 12, 124 / 12])
    assert shown["Height at bone age"].y == (131, 137.5)


def test_a_young_child_born_preterm_stands_at_the_corrected_age(preterm):
    MeasurementFactory(patient=preterm, height_cm=78, weight_kg=None)
    StudyFactory(patient=preterm, state="analysed", analysis__bone_age_months=20)
    record = growth_record(preterm)
    corrected = (23 - 70 / 30.4375) / 12
    for figure, name in ((bone_age_figure(record, "brush"), "AI estimate"), (height_figure(record), "Height at age")):
        trace = traces(figure)[name]
        assert trace.x == pytest.approx([corrected])
        assert "1 y 8 m (corrected)" in trace.customdata[0]
        assert "corrected until three" in figure.layout.annotations[0].text


def test_what_is_from_before_the_expected_birth_lies_within_the_axes(preterm):
    born = date(2022, 6, 1)
    MeasurementFactory(patient=preterm, measured_on=born, height_cm=39, weight_kg=None)
    StudyFactory(patient=preterm, acquired_on=born, state="analysed", analysis__bone_age_months=1)
    record = growth_record(preterm)
    for figure in (height_figure(record), bone_age_figure(record, "brush")):
        assert figure.layout.xaxis.range[0] < -70 / 365.25


def test_the_centiles_are_those_of_cdc_for_the_childs_sex(record):
    curves = [trace for trace in height_figure(record).data if trace.legendgroup == "centiles"]
    assert [trace.hovertemplate.split()[1] for trace in curves] == ["3", "10", "25", "50", "75", "90", "97"]
    for trace, percent in zip(curves, (3, 10, 25, 50, 75, 90, 97), strict=True):
        at_ten = trace.y[[round(x * 12, 1) for x in trace.x].index(120.5)]
        assert centiles.assess("height", at_ten, 120.5, "F").centile == pytest.approx(percent, abs=0.05)


def test_predicted_and_target_height_stand_at_the_adult_end(record):
    shown = traces(height_figure(record))
    assert shown["Predicted adult height"].y == (record.predicted.prediction.height_cm,)
    assert "Bayley-Pinneau" in shown["Predicted adult height"].hovertemplate
    assert shown["Target height, ±8.5 cm"].y == (record.target.height_cm,)
    assert shown["Target height, ±8.5 cm"].error_y.value == 8.5


def test_what_is_not_known_is_not_drawn(patient):
    MeasurementFactory(patient=patient)
    shown = traces(height_figure(growth_record(patient)))
    assert not {"Predicted adult height", "Target height, ±8.5 cm"} & shown.keys()
    assert len(shown["Height at bone age"].x) == 0


def test_an_infant_is_drawn_from_birth_on(patient):
    MeasurementFactory(patient=patient, measured_on=date(2014, 6, 9), height_cm=60, weight_kg=6)
    figure = height_figure(growth_record(patient))
    assert figure.layout.xaxis.range[0] == 0
    assert figure.layout.yaxis.range[0] <= 45


def test_only_charts_with_values_are_laid_out(patient, record):
    both = json.dumps(drawn(record).to_plotly_json(), default=lambda part: part.to_plotly_json())
    assert "Bone age for age" in both
    assert "Height for age" in both
    patient.measurements.all().delete()
    one = json.dumps(drawn(growth_record(patient)).to_plotly_json(), default=lambda part: part.to_plotly_json())
    assert "Height for age" not in one


def test_no_chart_names_the_child_or_offers_to_send_it_away(record):
    text = json.dumps(drawn(record).to_plotly_json(), default=lambda part: part.to_plotly_json())
    assert "Doe" not in text
    assert "A-1" not in text
    for graph in (part for part in drawn(record)._traverse() if type(part).__name__ == "Graph"):
        buttons = [button for group in graph.config["modeBarButtons"] for button in group]
        assert buttons == ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]
