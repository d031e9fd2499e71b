from datetime import UTC, datetime, timedelta

import pytest

from clinical.studies.models import Study
from inference.models import Analysis
from reports.models import Report
from tests.factories import ReportFactory, ReviewFactory, StudyFactory

DAY = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
MARCH = {"first": "2026-03-01", "last": "2026-03-31"}


@pytest.fixture
def add(alice):
    """`add(patient__hospital=..., ...)`: one study with its analysis and, as asked, a doctor's reading and report.

    at: of the upload; result: seconds until it; bone_age and read: months by the AI and the doctor; signed: hours until
    the signature; age: years of the child; image: fields of the radiograph; reason: code of a failure or refusal;
    withdrawn: with whatever it was read as.
    """

    def add_study(
        at=DAY,
        result=4.0,
        bone_age=120.0,
        read=None,
        signed=None,
        age=10,
        reason="",
        image=None,
        withdrawn=False,
        doctor=alice,
        **fields,
    ):
        fields.setdefault("state", "signed" if signed else "reviewed" if read is not None else "analysed")
        fields["patient__date_of_birth"] = at.date().replace(year=at.year - age)
        has_result = fields["state"] not in ("failed", "rejected", "queued", "cancelled")
        study = StudyFactory(
            acquired_on=at.date(),
            **{f"radiograph__{name}": value for name, value in (image or {}).items()},
            **fields,
        )
        Study.objects.filter(pk=study.pk).update(submitted_at=at)
        ended = "analysed" if has_result else fields["state"]
        Analysis.objects.filter(pk=study.analysis_id).update(
            state=ended,
            queued_at=at,
            finished_at=at + timedelta(seconds=result),
            bone_age_months=bone_age if has_result else None,
            low_months=bone_age - 10 if has_result else None,
            high_months=bone_age + 10 if has_result else None,
            reason_code=reason,
        )
        if read is not None:
            study = Study.objects.get(pk=study.pk)
            review = ReviewFactory(study=study, doctor=doctor, bone_age_months=read)
            if signed:
                report = ReportFactory(study=study, review=review)
                Report.objects.filter(pk=report.pk).update(signed_at=at + timedelta(hours=signed))
        if withdrawn:
            Study.objects.filter(pk=study.pk).update(state="cancelled")
        return study

    return add_study


@pytest.fixture
def board(client, as_user):
    """`board(user, name, **days)`: what the page of a dashboard shows in March 2026."""

    def get(user, name, **given):
        answer = as_user(user).get(f"/admin/dashboards/{name}/", MARCH | given)
        assert answer.status_code == 200
        return answer.context["board"]

    return get


@pytest.fixture
def tiles(board):
    """label -> (value, note)."""
    return lambda *args, **given: {tile.label: (tile.number.value, tile.note) for tile in board(*args, **given).tiles}


@pytest.fixture
def table(board):
    """`table(user, name, title)`: first cell of a row -> the others, numbers as they are."""

    def rows(user, name, title, **given):
        [found] = [table for table in board(user, name, **given).tables if table.title == title]
        return {row[0]: [getattr(cell, "value", cell) for cell in row[1:]] for row in found.rows}

    return rows
