"""Every number of the dashboards, against what was counted by hand."""

from datetime import UTC, date, datetime, timedelta
from math import exp, lgamma, pi, sqrt

import pytest

from boneage_portal.dashboards import agreement
from boneage_portal.dashboards.agreement import student
from clinical.studies.models import Study
from inference.models import Analysis
from reports.models import Report
from tests.boneage_portal.dashboards.conftest import DAY
from tests.factories import AnalysisFactory, RadiographFactory, ReportFactory, ReviewFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def test_studies_by_state_and_day(add, ada, hospital, tiles, table, board):
    for state, number in (("released", 3), ("analysed", 2), ("reviewed", 1), ("failed", 1), ("cancelled", 1)):
        for _ in range(number):
            add(patient__hospital=hospital, state=state)
    add(patient__hospital=hospital, at=DAY + timedelta(days=2), state="signed")
    add(patient__hospital=hospital, at=DAY - timedelta(days=30), state="signed")  # in February
    assert tiles(ada, "studies") == {
        "Uploaded": (9, ""),
        "Waiting for a doctor": (3, "33.3 %"),
        "Signed or released": (4, ""),
        "Failed or refused": (1, "11.1 %"),
    }
    by_state = table(ada, "studies", "By state")
    assert by_state["Released"] == [3, "33.3 %"]
    assert by_state["Signed"] == [1, "11.1 %"]
    assert "Queued" not in by_state
    assert table(ada, "studies", "By day") == {"Fri 06 Mar 2026": [1], "Wed 04 Mar 2026": [8]}
    bars = {bar.name: dict(zip(bar.x, bar.y, strict=True)) for bar in board(ada, "studies").charts["by-day"].data}
    assert bars["Released"]["2026-03-04"] == 3
    assert len(bars["Released"]) == 31


def test_a_day_is_one_of_the_portals_time_zone_summer_time_included(settings, add, ada, hospital, table):
    settings.TIME_ZONE = "Europe/Berlin"  # an hour ahead of UTC, from 29 March two
    for at in (
        datetime(2026, 3, 10, 22, 59, tzinfo=UTC),
        datetime(2026, 3, 10, 23, 1, tzinfo=UTC),
        datetime(2026, 3, 30, 21, 59, tzinfo=UTC),
        datetime(2026, 3, 30, 22, 1, tzinfo=UTC),
        datetime(2026, 3, 28, 23, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 31, 22, 1, tzinfo=UTC),  # April
        datetime(2026, 2, 28, 22, 59, tzinfo=UTC),  # February
    ):
        add(patient__hospital=hospital, at=at)
    days = table(ada, "studies", "By day")
    assert days == {
        "Tue 31 Mar 2026": [1],
        "Mon 30 Mar 2026": [1],
        "Sun 29 Mar 2026": [3],
        "Wed 11 Mar 2026": [1],
        "Tue 10 Mar 2026": [1],
    }


def test_a_long_time_is_shown_by_weeks_that_begin_on_monday(add, ada, hospital, table):
    for day in (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 8), date(2026, 3, 9)):
        add(patient__hospital=hospital, at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    weeks = table(ada, "studies", "By week", first="2026-01-01", last="2026-06-30")
    assert weeks == {"Mon 09 Mar 2026": [1], "Mon 02 Mar 2026": [2], "Mon 23 Feb 2026": [1]}


def test_waiting_times(add, ada, hospital, tiles, table, board):
    for seconds in (1, 2, 3, 4, 5.5, 6, 7, 8, 9, 200):
        add(patient__hospital=hospital, result=seconds)
    for hours in (2, 30, 200):
        add(patient__hospital=hospital, result=3, read=121, signed=hours)
    add(patient__hospital=hospital, state="failed", result=900)
    # 1 2 3 3 3 3 4 5.5 6 7 8 9 200: the seventh and the twelfth of thirteen
    found = tiles(ada, "waiting-times")
    assert found["Median to the result"] == ("4 s", "")
    assert found["Nine of ten to the result"] == ("9 s", "of 13")
    assert found["Median to the signature"] == ("1.2 d", "")
    assert found["Nine of ten to the signature"] == ("8.3 d", "of 3")
    within = table(ada, "waiting-times", "From upload to result")
    assert [number for number, _ in within.values()] == [7, 5, 0, 0, 1, 0, 0]
    assert within["0 s to 5 s"] == [7, "53.8 %"]
    signatures = table(ada, "waiting-times", "From upload to signature")
    assert [number for number, _ in signatures.values()] == [0, 1, 0, 1, 0, 1]
    median, nine = board(ada, "waiting-times").charts["result"].data
    assert (list(median.x), list(median.y)) == (["2026-03-04"], [pytest.approx(4, abs=1e-3)])
    assert list(nine.y) == [pytest.approx(9, abs=1e-3)]


def test_who_was_read_again_had_waited_for_the_first_result(add, ada, hospital, tiles, table, client):
    study = add(patient__hospital=hospital, result=5)
    newest = study.analysis
    for days, state, months in ((1, "failed", None), (20, "analysed", 126), (40, "analysed", 124)):
        newest = AnalysisFactory(hospital=hospital, previous=newest, state=state, bone_age_months=months)
        Analysis.objects.filter(pk=newest.pk).update(finished_at=DAY + timedelta(days=days))
    Study.objects.filter(pk=study.pk).update(analysis=newest)
    assert tiles(ada, "waiting-times")["Median to the result"] == ("5 s", "")
    assert table(ada, "waiting-times", "From upload to result")["5 s to 10 s"] == [1, "100.0 %"]
    within = client.get("/admin/studies/study/", {"result_from": 5, "result_to": 10})
    assert [row.pk for row in within.context["cl"].result_list] == [study.pk]


def test_who_was_tried_again_waited_until_it_succeeded(add, ada, hospital, tiles):
    study = add(patient__hospital=hospital, state="failed", result=3)
    again = AnalysisFactory(hospital=hospital, previous=study.analysis, state="analysed", bone_age_months=126)
    Analysis.objects.filter(pk=again.pk).update(finished_at=DAY + timedelta(seconds=90))
    Study.objects.filter(pk=study.pk).update(analysis=again, state="analysed")
    assert tiles(ada, "waiting-times")["Median to the result"] == ("1.5 min", "")


def test_an_amended_report_counts_from_its_first_signature(add, ada, hospital, tiles):
    study = add(patient__hospital=hospital, read=121, signed=3)
    Report.objects.update(superseded_at=DAY)
    ReportFactory(study=study, review=ReviewFactory(study=study), version=2)
    assert tiles(ada, "waiting-times")["Nine of ten to the signature"] == ("3 h", "of 1")


def test_failures_by_reason(add, ada, hospital, tiles, table):
    for _ in range(5):
        add(patient__hospital=hospital)
    for _ in range(2):
        add(patient__hospital=hospital, state="rejected", reason="not-a-hand")
    add(patient__hospital=hospital, state="failed", reason="worker-lost")
    add(patient__hospital=hospital, state="queued")
    assert tiles(ada, "failures") == {
        "Analyses that ended": (8, ""),
        "Rejected": (2, "25.0 %"),
        "Failed": (1, "12.5 %"),
    }
    assert table(ada, "failures", "By reason") == {
        "Not a hand": ["Rejected", 2, "25.0 %"],
        "Worker lost": ["Failed", 1, "12.5 %"],
    }


def test_usage_by_hospital_and_doctor(add, alice, bob, hospital, other_hospital, tiles, table):
    root = UserFactory(is_staff=True, is_superuser=True)
    add(patient__hospital=hospital, submitted_by=alice)
    add(patient__hospital=hospital, submitted_by=alice, read=120.2)
    add(patient__hospital=hospital, submitted_by=alice, read=126, signed=2)
    add(patient__hospital=other_hospital, submitted_by=bob, read=118, doctor=bob)
    add(patient__hospital=other_hospital, submitted_by=bob, read=200, doctor=bob, withdrawn=True)
    assert tiles(root, "usage") == {
        "Hospitals with studies": (2, ""),
        "Studies": (5, ""),
        "Read by a doctor": (4, "80.0 %"),
        "Doctors who read": (2, ""),
    }
    assert table(root, "usage", "Hospitals") == {
        "St. Anna Children's Hospital": [3, 2, 1],
        "Northern General": [2, 2, 0],
    }
    assert table(root, "usage", "Doctors") == {"Alice": [2, 1, 1, "50.0 %"], "Bob": [2, 0, 1, "100.0 %"]}
    assert table(root, "usage", "Uploads") == {"Alice": [3], "Bob": [2]}


def test_bone_age_over_everybody(add, ada, hospital, tiles, table, board):
    for sds, bone_age, sex in ((-2.5, 90, "F"), (0.1, 121, "F"), (0.3, 119, "F"), (2.6, 150, "M"), (None, 120, "F")):
        study = add(patient__hospital=hospital, patient__sex=sex, bone_age=bone_age, age=10)
        Study.objects.filter(pk=study.pk).update(sds=sds)
    add(patient__hospital=hospital, bone_age=90, withdrawn=True)
    found = tiles(ada, "bone-age")
    assert found["Studies with a bone age"] == (5, "")
    assert [found[name][0] for name in ("Delayed", "Normal", "Advanced", "Indeterminate")] == [1, 2, 1, 1]
    assert found["Mean SDS"] == ("+0.12", "")  # (-2.5 + 0.1 + 0.3 + 2.6) / 4 = 0.125, to even
    rows = table(ada, "bone-age", "By sex and age")
    assert rows == {
        "Boys, 9 to 11 years": [1, 0, 0, 1, 0, "+2.60"],
        "Girls, 9 to 11 years": [4, 1, 2, 0, 1, "−0.70"],
    }
    [girls] = board(ada, "bone-age").charts["F"].data
    counted = {
        (x, y): z for y, row in zip(girls.y, girls.z, strict=True) for x, z in zip(girls.x, row, strict=True) if z
    }
    assert counted == {(10.5, 7.5): 1, (10.5, 9.5): 1, (10.5, 10.5): 2}


def test_the_ai_against_the_doctors(add, ada, hospital, tiles, table):
    differences = [0, 0, 0.2, 6, -3]
    for difference in differences:
        add(patient__hospital=hospital, bone_age=120 + difference, read=120, age=9)
    add(patient__hospital=hospital)  # not read
    add(patient__hospital=hospital, state="rejected", read=118)  # nothing to compare with
    add(patient__hospital=hospital, bone_age=120, read=200, withdrawn=True)
    mean = sum(differences) / 5
    sd = sqrt(sum((each - mean) ** 2 for each in differences) / 4)
    found = tiles(ada, "ai-and-doctors")
    assert found["Readings with the AI"] == (5, "")
    assert found["Mean difference"][0] == "+0.64"
    low, high = mean - 1.96 * sd, mean + 1.96 * sd
    assert found["Limits of agreement"][0] == f"−{-low:.2f} to +{high:.2f}"
    assert found["Overruled"] == (2, "40.0 %")
    assert table(ada, "ai-and-doctors", "By sex and age") == {
        "Girls, 9 to 11 years": [5, "+0.64", f"{sd:.2f}", 2, "40.0 %"]
    }


def test_the_interval_of_a_mean_is_students_and_one_reading_has_none(add, ada, hospital, board):
    for age, differences in ((5, [7]), (7, [3, -1]), (10, [8, -4, 6, -2, 5])):
        for difference in differences:
            add(patient__hospital=hospital, bone_age=120 + difference, read=120, age=age)
    [girls, _] = board(ada, "ai-and-doctors").charts["bias"].data
    two, five = 12.706 * sqrt(8) / sqrt(2), 2.776 * sqrt(27.8) / sqrt(5)
    shown = dict(zip(girls.x, girls.error_y.array, strict=True))
    assert shown == {"3–5": None, "6–8": pytest.approx(two), "9–11": pytest.approx(five)}
    assert "from two readings on" in agreement.CHARTS["bias"][1]


@pytest.mark.parametrize("degrees", [*range(1, 31), 60, 120, 1000])
def test_students_t_holds_95_percent(degrees):
    """Against the density itself, summed from the middle."""
    step = student(degrees) / 10_000
    scale = exp(lgamma((degrees + 1) / 2) - lgamma(degrees / 2)) / sqrt(degrees * pi)
    middles = (step * (number + 0.5) for number in range(10_000))
    held = 2 * step * scale * sum((1 + t * t / degrees) ** (-(degrees + 1) / 2) for t in middles)
    assert held == pytest.approx(0.95, abs=3e-4)


def test_drift_by_week_and_site(add, ada, hospital, tiles, table):
    monday = datetime(2026, 1, 5, 12, tzinfo=UTC)
    for week in range(9):
        for number in range(10):
            brightness = 0.8 if week == 8 else 0.3 + 0.001 * (week % 2)
            image = {"mean": brightness, "sd": 0.2, "sharpness": 0.02, "width": 1000, "height": 2000}
            add(patient__hospital=hospital, at=monday + timedelta(days=7 * week), image=image, bone_age=100 + number)
    year = {"first": "2026-01-01", "last": "2026-03-31"}
    assert tiles(ada, "drift", **year)["Weeks out of line"][0] == 1
    assert table(ada, "drift", "Out of line", **year) == {
        "St. Anna Children's Hospital, 02 Mar 2026": [10, "Brightness", "0.800", "0.300 ± 0.001"]
    }
    weeks = table(ada, "drift", "Site by site", **year)
    assert len(weeks) == 9
    assert weeks["St. Anna Children's Hospital, 05 Jan 2026"] == [
        10, "0.300", "0.200", "0.0200", "2.00", "8.71", "20.0", "0.000",
    ]  # fmt: skip


def test_no_axis_of_drift_goes_below_zero_as_no_measure_does(add, ada, hospital, board):
    add(patient__hospital=hospital, image={"mean": 0.5, "sd": 0.2, "sharpness": 0.02}, bone_age=100)
    charts = board(ada, "drift").charts
    assert {chart.layout.yaxis.rangemode for chart in charts.values()} == {"nonnegative"}


def test_pictures_that_were_not_measured_are_left_out(add, ada, hospital, table):
    add(patient__hospital=hospital, image={"mean": 0.5})
    add(patient__hospital=hospital)
    [week] = table(ada, "drift", "Site by site").values()
    assert week[:3] == [2, "0.500", "–"]
    assert RadiographFactory(hospital=hospital).mean is None
