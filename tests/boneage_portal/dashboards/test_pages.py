"""Who sees which numbers, and that each leads to the rows behind it. Who may come in at all: test_routes.py."""

import json
import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test.utils import CaptureQueriesContext

from boneage_portal.dashboards.views import DASHBOARDS
from clinical.charts.scripts import served
from clinical.studies.models import Study
from clinical.studies.queries import HAS_BONE_AGE
from tests.boneage_portal.dashboards.conftest import DAY, MARCH
from tests.factories import UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def a_month(add, hospital, other_hospital, bob):
    """Some studies of everything that a dashboard counts, in both hospitals."""

    def fill(number=1):
        for place, doctor in ((hospital, {}), (other_hospital, {"doctor": bob})):
            for n in range(number):
                at = DAY + timedelta(days=n % 20, hours=n % 7)
                sex = "FM"[n % 2]
                add(at=at, patient__hospital=place, patient__sex=sex, result=1 + 3 * n)
                add(
                    at=at, patient__hospital=place, patient__sex=sex, age=4 + n % 12, bone_age=60 + n, read=64, **doctor
                )
                add(at=at, patient__hospital=place, bone_age=130.5, read=130.5, signed=3, result=40, **doctor)
                add(at=at, patient__hospital=place, bone_age=90, read=118, withdrawn=True, **doctor)
                add(at=at, patient__hospital=place, state="rejected", reason="not-a-hand")
                add(at=at, patient__hospital=place, state="failed", reason="worker-lost")
        for study in Study.objects.filter(HAS_BONE_AGE).select_related("analysis"):
            Study.objects.filter(pk=study.pk).update(sds=(study.analysis.bone_age_months - 120) / 12)

    return fill


def numbers(board):
    """Every number that has a list: (value, URL), of tiles, tables and the marks of charts."""
    for tile in board.tiles:
        yield tile.number.value, tile.number.rows
    for table in board.tables:
        for row in table.rows:
            yield from ((cell.value, cell.rows) for cell in row if hasattr(cell, "rows"))
    for chart in board.charts.values():
        for trace in chart.data:
            if trace.type == "bar" and trace.customdata is not None:
                values = trace.x if trace.orientation == "h" else trace.y
                yield from zip(values, trace.customdata, strict=True)
            if trace.type == "heatmap":
                for counts, links in zip(trace.z, trace.customdata, strict=True):
                    yield from zip(counts, links, strict=True)


@pytest.mark.parametrize("person", ["ada", "root"])
@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_count_is_that_of_the_rows_behind_it(request, as_user, board, a_month, name, person):
    a_month(2)
    user = request.getfixturevalue(person)
    client, checked = as_user(user), 0
    for value, rows in set(numbers(board(user, name))):
        if rows and isinstance(value, int):
            assert client.get(rows).context["cl"].result_count == value, rows
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", DASHBOARDS)
def test_an_administrator_sees_the_own_hospital_only(as_user, ada, board, a_month, other_hospital, name):
    a_month(2)
    client = as_user(ada)
    page = client.get(f"/admin/dashboards/{name}/", MARCH)
    asked = client.get(f"/admin/dashboards/{name}/", MARCH | {"hospital": other_hospital.pk})
    for answer in (page, asked):
        assert "Northern General" not in answer.content.decode()
        assert not re.search(r"\bBob\b", answer.content.decode())  # a random token may hold the three letters
    assert str(asked.context["board"]) == str(page.context["board"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_platform_staff_see_all_or_the_hospital_that_they_choose(root, ada, board, a_month, hospital, name):
    a_month(2)
    everything, chosen, own = board(root, name), board(root, name, hospital=hospital.pk), board(ada, name)
    assert [tile.number.value for tile in chosen.tiles] == [tile.number.value for tile in own.tiles]
    assert everything.tiles[0].number.value != chosen.tiles[0].number.value or name == "waiting-times"


def test_platform_staff_need_the_permission_to_see_studies(as_user, db):
    assert as_user(UserFactory(is_staff=True)).get("/admin/dashboards/studies/").status_code == 403


@pytest.mark.parametrize("name", DASHBOARDS)
def test_queries_do_not_grow_with_the_rows(as_user, root, a_month, name):
    client, path = as_user(root), f"/admin/dashboards/{name}/"

    def count():
        client.get(path, MARCH)
        with CaptureQueriesContext(connection) as captured:
            client.get(path, MARCH)
        return len(captured)

    a_month(1)
    few = count()
    a_month(6)
    assert count() == few


@pytest.mark.parametrize("name", DASHBOARDS)
def test_without_a_study_the_page_says_so(as_user, ada, name):
    page = as_user(ada).get(f"/admin/dashboards/{name}/")
    assert page.status_code == 200
    assert "Nothing in these days" in page.content.decode()
    assert b"<script" not in page.content.split(b"<main")[1].split(b"</main")[0]


@pytest.mark.parametrize("name", DASHBOARDS)
@pytest.mark.parametrize(
    "study",
    [
        *({"state": state} for state in ("queued", "failed", "cancelled", "analysed")),
        {"withdrawn": True},
        {"withdrawn": True, "read": 118},
    ],
)
def test_a_single_study_of_any_state_breaks_no_page(as_user, ada, add, hospital, name, study):
    add(patient__hospital=hospital, **study)
    assert as_user(ada).get(f"/admin/dashboards/{name}/", MARCH).status_code == 200


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"first": "2026-03-31", "last": "2026-03-01"}, "The first day is after the last."),
        ({"first": "1999-03-31", "last": "2026-03-01"}, "at most five years"),
        ({"first": "0001-01-01", "last": "0001-01-02"}, "days of this century"),
        ({"first": "9999-12-30", "last": "9999-12-31"}, "days of this century"),
        ({"first": "soon"}, "Enter a valid date"),
        ({"hospital": "10000000000000000000000"}, "not one of the available choices"),
    ],
)
def test_days_that_make_no_sense_are_told(as_user, root, given, sentence):
    page = as_user(root).get("/admin/dashboards/studies/", given)
    assert page.status_code == 422
    assert sentence in page.content.decode()


def test_an_unknown_dashboard_is_not_found(as_user, ada):
    for path in ("nothing/", "nothing/_dash-layout", "nothing/_dash-dependencies"):
        assert as_user(ada).get(f"/admin/dashboards/{path}").status_code == 404


def test_only_style_is_let_loose_on_the_page_and_scripts_are_files(as_user, ada, a_month):
    a_month()
    page = as_user(ada).get("/admin/dashboards/studies/", MARCH)
    policy = dict(
        part.strip().split(" ", 1) for part in page["Content-Security-Policy"].split(";") if " " in part.strip()
    )
    assert policy["style-src"] == "'self' 'unsafe-inline'"
    assert "unsafe" not in policy.get("script-src", policy["default-src"])
    tags = re.findall(r"<script[^>]*>", page.content.decode())
    assert all('src="/' in tag or 'type="application/json"' in tag for tag in tags)
    scripts = re.findall(r'src="(/admin/dashboards/[^"]+)"', page.content.decode())
    assert len(scripts) > 5
    for script in scripts:
        target = unquote(as_user(ada).get(script)["Location"]).removeprefix("/static/")
        assert target in served()
        assert finders.find(target)
    assert as_user(ada).get("/admin/dashboards/studies/_dash-component-suites/dash/dash.py").status_code == 404


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dash_has_the_places_of_the_charts_and_no_data(as_user, ada, a_month, board, name):
    a_month()
    layout = as_user(ada).get(f"/admin/dashboards/{name}/_dash-layout")
    assert layout["Cache-Control"] == "no-store"
    places = set(re.findall(r'"is": ?"chart", ?"name": ?"([^"]+)"', json.dumps(layout.json())))
    assert places == DASHBOARDS[name].CHARTS.keys() == board(ada, name).charts.keys()
    dependencies = as_user(ada).get(f"/admin/dashboards/{name}/_dash-dependencies").json()
    assert all(callback["clientside_function"] for callback in dependencies)
    assert as_user(ada).post(f"/admin/dashboards/{name}/_dash-update-component").status_code == 404
