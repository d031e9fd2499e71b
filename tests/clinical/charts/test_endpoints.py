"""Dash's endpoints. Who gets which answer is in tests/boneage_portal/test_routes.py; here is what they hold."""

import json
import re
from datetime import date
from urllib.parse import unquote

import pytest
from django.contrib.staticfiles import finders
from django.urls import Resolver404, resolve, reverse

from clinical.audit.models import AccessEvent
from clinical.charts.dash_app import instance
from clinical.charts.scripts import served
from tests.factories import AnalysisFactory, MeasurementFactory, PatientFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def child(hospital, height_cm):
    patient = PatientFactory(hospital=hospital)
    MeasurementFactory(patient=patient, height_cm=height_cm)
    analysis = AnalysisFactory(hospital=hospital, bone_age_months=118, low_months=110, high_months=126)
    StudyFactory(patient=patient, analysis=analysis, acquired_on=date(2024, 5, 1), state="analysed")
    return patient


@pytest.fixture
def own(hospital):
    return child(hospital, 137.25)


@pytest.fixture
def others(other_hospital):
    return child(other_hospital, 139.75)


def path(name, patient):
    return reverse(f"charts:{name}", args=[patient.pk])


def test_the_layout_holds_the_patients_values_and_the_look_at_them_is_on_record(as_user, alice, own):
    answer = as_user(alice).get(path("layout", own))
    assert answer.json()["type"] == "Div"
    assert "137.25" in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    event = AccessEvent.objects.get(detail="growth charts")
    assert (event.verb, event.actor, event.patient_key) == ("view", alice, str(own.pk))


def test_the_hospitals_table_is_named(as_user, alice, own, hospital):
    hospital.bone_age_reference = "greulich_pyle"
    hospital.save()
    assert "2 SD, Greulich-Pyle" in as_user(alice).get(path("layout", own)).content.decode()


@pytest.mark.parametrize("name", ["page", "layout", "dependencies"])
def test_nothing_but_the_url_says_whose_charts_they_are(as_user, alice, own, others, name):
    client, key = as_user(alice), str(others.pk)
    plain = client.get(path(name, own))
    client.session["django_plotly_dash"] = {"patient": key}
    asked = client.get(path(name, own), {"pk": key, "patient": key, "cache_id": key}, headers={"X-Patient": key})
    assert asked.content == plain.content
    assert b"139.75" not in asked.content


def test_there_is_no_callback_to_send_another_patients_key_to(as_user, alice, own, others):
    body = {
        "output": "theme.data",
        "outputs": {"id": "theme", "property": "data"},
        "inputs": [{"id": "theme", "property": "data", "value": str(others.pk)}],
        "state": [{"id": "patient", "property": "data", "value": str(others.pk)}],
        "changedPropIds": [],
    }
    for patient in (own, others):
        target = path("page", patient) + "_dash-update-component"
        answer = as_user(alice).post(target, json.dumps(body), content_type="application/json")
        assert answer.status_code == 404
    dependencies = as_user(alice).get(path("dependencies", own)).json()
    assert dependencies
    assert all(callback["clientside_function"] for callback in dependencies)


@pytest.mark.parametrize(
    "path",
    [
        "/django_plotly_dash/app/growth-charts/_dash-layout",
        "/django_plotly_dash/app/growth-charts/",
        "/add_stateless_apps",
    ],
)
def test_the_librarys_own_routes_which_know_no_hospital_do_not_exist(path):
    with pytest.raises(Resolver404):
        resolve(path)


def test_the_application_alone_holds_nobodys_data(own):
    assert b"137.25" not in instance(own).locate_endpoint_function("dash-layout")().data


def test_the_page_stands_in_the_portals_own_frames_and_runs_scripts_of_files_only(as_user, alice, own):
    answer = as_user(alice).get(path("page", own))
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == "'self'"
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    scripts = re.findall(r"<script[^>]*>", answer.content.decode())
    assert scripts
    assert all('src="/' in tag or 'type="application/json"' in tag for tag in scripts)


@pytest.mark.parametrize("name", ["layout", "dependencies"])
def test_the_other_answers_stand_in_no_frame(as_user, alice, own, name):
    answer = as_user(alice).get(path(name, own))
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_every_script_of_the_page_leads_to_a_file_that_is_served(as_user, alice, own):
    client = as_user(alice)
    scripts = re.findall(r'src="(/patients/[^"]+)"', client.get(path("page", own)).content.decode())
    assert len(scripts) > 5
    scripts.append(path("page", own) + "_dash-component-suites/plotly/package_data/plotly.min.js")
    scripts.append(path("page", own) + "_dash-component-suites/dash/dcc/async-graph.js")
    for script in scripts:
        target = unquote(client.get(script)["Location"]).removeprefix("/static/")
        assert finders.find(target)
        assert target in served()


@pytest.mark.parametrize("script", ["dash/dash.py", "../../settings.py", "dash/deps/../../../x.min.js", "nothing.js"])
def test_no_other_file_is_led_to(as_user, alice, own, script):
    answer = as_user(alice).get(path("page", own) + "_dash-component-suites/" + script)
    assert answer.status_code == 404


def test_the_patients_page_shows_frame_and_table(as_user, alice, own):
    page = as_user(alice).get(reverse("patients:detail", args=[own.pk])).content.decode()
    assert f'src="{path("page", own)}"' in page
    assert "The charts as tables" in page
    assert "137.3 cm" in page


def test_without_values_there_is_no_chart(as_user, alice, patient):
    client = as_user(alice)
    assert "<iframe" not in client.get(reverse("patients:detail", args=[patient.pk])).content.decode()
    assert client.get(path("layout", patient)).status_code == 200
