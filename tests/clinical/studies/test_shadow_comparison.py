"""Figures of a shadow run, against what was counted by hand."""

import re
from datetime import date

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext

from clinical.studies.bland_altman import plot
from clinical.studies.models import Study
from clinical.studies.shadow_comparison import compare
from inference.models import Analysis, ModelVersion, ShadowAnalysis
from tests.factories import AnalysisFactory, PatientFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def active(db):
    return ModelVersion.objects.create(name="m", version="1", sha256="1" * 64, state="active")


@pytest.fixture
def candidate(db):
    return ModelVersion.objects.create(name="m", version="2", sha256="2" * 64, shadows=True)


@pytest.fixture
def beside(active, candidate, hospital):
    """A study that the active version read as `serving` and the candidate as `months`; None: refused."""

    def make(serving, months, sex="F", age_years=10, doctor=None, method="own", state="signed", milliseconds=100):
        patient = PatientFactory(hospital=hospital, sex=sex, date_of_birth=date(2024 - age_years, 5, 1))
        study = StudyFactory(
            patient=patient,
            state=state if doctor else "analysed" if serving else "rejected",
            analysis__state="analysed" if serving else "rejected",
            analysis__model_version=active,
            analysis__bone_age_months=serving,
            analysis__milliseconds=milliseconds,
            analysis__sex=sex,
        )
        ShadowAnalysis.objects.create(
            analysis=study.analysis,
            hospital=study.hospital,
            model_version=candidate,
            sex=sex,
            state="analysed" if months else "rejected",
            bone_age_months=months,
            milliseconds=2 * milliseconds,
        )
        if doctor:
            ReviewFactory(study=study, bone_age_months=doctor, method=method)
        return study

    return make


def test_the_figures_are_those_counted_by_hand(beside, candidate, active):
    beside(100, 103, "F", 9, doctor=102)  # +3; errs by 2 and 1
    beside(120, 127, "F", 10, doctor=120, method="ai")  # +7; 0 and 7, accepted
    beside(110, 108, "M", 10, doctor=105, state="released")  # -2; 5 and 3
    beside(90, 104, "M", 8)  # +14
    beside(None, 80, "M", 8)
    beside(95, None, "F", 8)
    beside(None, None, "F", 8)
    found = compare(candidate)

    assert found.serving == [active]
    assert len(found.pairs) == 7
    assert (found.all.n, found.all.bias) == (4, 5.5)
    # Differences 3, 7, -2, 14: deviations -2.5, 1.5, -7.5, 8.5, squares 6.25 + 2.25 + 56.25 + 72.25 = 137; / 3.
    assert found.all.sd == pytest.approx((137 / 3) ** 0.5)
    low, high = found.all.limits
    assert (low + high) / 2 == pytest.approx(5.5)
    assert high - low == pytest.approx(2 * 1.96 * (137 / 3) ** 0.5)
    assert found.all.within == [50.0, 75.0]
    assert len(found.refused_by_serving) == len(found.refused_by_candidate) == found.refused_by_both == 1

    signed, independent = found.all.signed, found.all.independent
    assert (signed.n, signed.serving, signed.candidate) == (3, pytest.approx(7 / 3), pytest.approx(11 / 3))
    assert (independent.n, independent.serving, independent.candidate) == (2, 3.5, 2.0)

    groups = {group.title: group for group in found.groups}
    assert [(title, group.n, group.bias) for title, group in groups.items()] == [
        ("Girls", 2, 5.0),
        ("Boys", 2, 6.0),
        ("8 to 10 years", 2, 8.5),
        ("10 to 12 years", 2, 2.5),
    ]
    assert (groups["Boys"].signed.n, groups["Boys"].signed.candidate) == (1, 3.0)
    assert list(found.times) == [("serving", 100.0, 100.0), ("candidate", 200.0, 200.0)]
    assert [pair.difference for pair in found.furthest_apart] == [14, 7, 3, -2]


def test_a_reading_that_nobody_signed_is_no_measure(beside, candidate):
    beside(100, 103, doctor=110, state="reviewed")
    assert compare(candidate).all.signed.n == 0


def test_a_study_that_another_version_has_read_since_still_counts(beside, candidate, hospital):
    study = beside(100, 103, doctor=102)
    Study.objects.filter(pk=study.pk).update(analysis=AnalysisFactory(hospital=hospital, previous=study.analysis))
    found = compare(candidate)
    assert (found.all.signed.serving, found.all.signed.candidate) == (2.0, 1.0)
    assert found.pairs[0].age == pytest.approx(120, abs=0.1)


def test_what_waits_and_what_failed_is_counted_apart(beside, candidate, active, hospital):
    beside(100, 103)
    for state in ("queued", "analysing", "failed", "cancelled"):
        analysis = AnalysisFactory(hospital=hospital, state="analysed", model_version=active, bone_age_months=99)
        ShadowAnalysis.objects.create(analysis=analysis, hospital=hospital, model_version=candidate, state=state)
    found = compare(candidate)
    assert (len(found.pairs), found.waiting, found.failed) == (1, 2, 1)


def test_another_candidates_rows_are_not_mixed_in(beside, candidate, hospital):
    beside(100, 103)
    other = ModelVersion.objects.create(name="m", version="3")
    ShadowAnalysis.objects.create(
        analysis=Analysis.objects.first(), hospital=hospital, model_version=other, state="analysed", bone_age_months=50
    )
    assert compare(candidate).all.bias == 3.0


@pytest.mark.parametrize("rows", [1, 6])
def test_the_number_of_queries_does_not_grow_with_the_rows(beside, candidate, rows):
    for number in range(rows):
        beside(100, 100 + number, doctor=100 + number)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = compare(candidate)
        _ = (found.all, found.groups, found.furthest_apart, list(found.times))
    assert len(queries) == 4


def test_no_pair_and_one_pair_give_what_they_can(beside, candidate):
    nothing = compare(candidate)
    assert (nothing.all.n, nothing.all.bias, nothing.all.limits, nothing.groups[0].n) == (0, None, None, 0)
    beside(100, 103)
    one = compare(candidate)
    assert (one.all.bias, one.all.sd, one.all.limits) == (3.0, None, None)
    assert plot(one.read, one.all, one.furthest_apart)["lines"][0][2] == 3.0


def test_the_plot_holds_every_point_and_line_within_its_frame(beside, candidate):
    for serving, months in ((100, 103), (120, 80), (60, 61), (200, 230)):
        beside(serving, months)
    found = compare(candidate)
    drawn = plot(found.read, found.all, found.furthest_apart)
    assert len(drawn["points"]) == 4
    for x, y, *_ in drawn["points"]:
        assert drawn["left"] <= x <= drawn["right"]
        assert drawn["top"] <= y <= drawn["bottom"]
    for _, y, _ in drawn["lines"]:
        assert drawn["top"] <= y <= drawn["bottom"]
    assert drawn["months"][len(drawn["months"]) // 2][1] == 0


def test_every_point_of_the_plot_is_a_link_and_keys_and_screen_readers_stop_at_the_furthest_apart_alone(
    beside, candidate
):
    for months in (101, 103, 130):
        beside(100, months)
    found = compare(candidate)
    drawn = plot(found.read, found.all, found.furthest_apart[:1])
    picture = render_to_string("versions/bland_altman.svg", {"plot": drawn})
    hidden, told = re.fullmatch(r".*<g aria-hidden=\"true\">(.*)</g>(.*)</svg>\s*", picture, re.DOTALL).groups()
    assert 'role="img"' not in picture
    assert hidden.count("<a ") == hidden.count('tabindex="-1"') == 2
    assert re.findall('<a href="([^"]*)" aria-label="([^"]*)">', told) == [
        (f"/admin/inference/shadowanalysis/{found.furthest_apart[0].key}/change/", "100.0 and 130.0 months")
    ]
