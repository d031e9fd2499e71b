from datetime import timedelta

import cv2
import numpy as np
import pytest
from django.core.files.storage import storages
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.studies import occlusion, tasks
from clinical.studies.models import OcclusionMap
from inference import registry
from inference.engine import Refusal
from inference.engine.explanation import GRID
from inference.models import Analysis, ModelVersion
from tests import radiograph_files
from tests.factories import StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
HTMX = {"HX-Request": "true"}


class Model:
    """Hiding the place in the second row from the top, third from the left, moves the reading by 9 months."""

    def __init__(self):
        self.rows, self.answer = [], None

    def occlusion_row(self, image, sex, row):
        self.rows.append(row)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer:
            return self.answer
        months = np.zeros(GRID, np.float32)
        if row == 1:
            months[2] = 9.0
        return months


@pytest.fixture
def model(monkeypatch):
    found = Model()
    monkeypatch.setattr(registry, "load", lambda version: found)
    return found


@pytest.fixture
def sent(monkeypatch):
    """The calls that wait for a worker."""
    calls = []
    monkeypatch.setattr(tasks.draw_row, "apply_async", lambda kwargs: calls.append(kwargs))
    return calls


@pytest.fixture
def study(patient):
    study = StudyFactory(patient=patient, state="analysed", radiograph__file=radiograph_files.png())
    study.analysis.bone_age_months, study.analysis.low_months, study.analysis.high_months = 126.0, 114.0, 139.0
    study.analysis.model_version = ModelVersion.objects.create(name="two_stage_compact", version="1", sha256="ab" * 32)
    study.analysis.save()
    return study


def ask(client, study, capture):
    with capture(execute=True):
        return client.post(f"/studies/{study.pk}/occlusion/", headers=HTMX)


def progress(client, study):
    return client.get(f"/studies/{study.pk}/occlusion/", headers=HTMX)


@pytest.fixture
def made(as_user, alice, study, model, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        occlusion.ask(study, alice)
    while sent:
        with django_capture_on_commit_callbacks(execute=True):
            tasks.draw_row.apply(kwargs=sent.pop(0))
    return OcclusionMap.objects.get()


def test_a_doctor_asks_and_the_map_is_made_row_by_row(made, model, study, as_user, alice):
    assert model.rows == list(range(GRID))
    assert (made.percent, made.months) == (100, 9.0)
    client = as_user(alice)
    page = client.get(f"/studies/{study.pk}/").content.decode()
    assert f"/studies/{study.pk}/occlusion-map/" in page
    assert "up to 9 months" in page


def peak_of(response):
    overlay = cv2.imdecode(np.frombuffer(response.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    row, column = np.unravel_index(overlay[..., 3].argmax(), overlay.shape[:2])
    return (column + 0.5) / overlay.shape[1], (row + 0.5) / overlay.shape[0]


def test_the_map_lies_where_the_place_is_and_looking_at_it_is_on_record(made, study, as_user, tess):
    response = as_user(tess).get(f"/studies/{study.pk}/occlusion-map/")
    assert peak_of(response) == pytest.approx((2.5 / GRID, 1.5 / GRID), abs=0.05)
    event = AccessEvent.objects.order_by("at", "pk").last()
    assert (event.verb, event.object_key, event.detail) == ("view", str(study.pk), "occlusion-map")


def test_the_map_of_a_mirrored_hand_lies_over_the_picture_as_it_was_sent(
    study, as_user, alice, model, sent, django_capture_on_commit_callbacks
):
    study.analysis.mirrored = True
    study.analysis.save()
    with django_capture_on_commit_callbacks(execute=True):
        occlusion.ask(study, alice)
    while sent:
        with django_capture_on_commit_callbacks(execute=True):
            tasks.draw_row.apply(kwargs=sent.pop(0))
    response = as_user(alice).get(f"/studies/{study.pk}/occlusion-map/")
    assert peak_of(response) == pytest.approx((1 - 2.5 / GRID, 1.5 / GRID), abs=0.05)


def test_the_page_shows_how_far_it_is(study, as_user, alice, model, sent, django_capture_on_commit_callbacks):
    client = as_user(alice)
    answer = ask(client, study, django_capture_on_commit_callbacks).content.decode()
    assert 'value="0"' in answer
    assert 'hx-trigger="every 1s"' in answer
    tasks.draw_row.apply(kwargs=sent[0])
    assert f'value="{round(100 / GRID)}"' in progress(client, study).content.decode()


def test_without_javascript_the_page_of_the_study_shows_how_far_it_is(
    study, as_user, alice, model, sent, django_capture_on_commit_callbacks
):
    client, path = as_user(alice), f"/studies/{study.pk}/occlusion/"
    with django_capture_on_commit_callbacks(execute=True):
        asked = client.post(path)
    tasks.draw_row.apply(kwargs=sent[0])
    for answer in (asked, client.get(path)):
        assert (answer.status_code, answer["Location"]) == (302, f"/studies/{study.pk}/#occlusion")
    assert f'value="{round(100 / GRID)}"' in client.get(asked["Location"]).content.decode()


@pytest.mark.parametrize("person", ["alice", "tess"])
def test_whoever_waits_is_shown_the_way_to_the_map_and_loses_no_typing(made, study, as_user, request, person):
    client = as_user(request.getfixturevalue(person))
    OcclusionMap.objects.update(file="")
    assert f'hx-get="/studies/{study.pk}/occlusion/"' in client.get(f"/studies/{study.pk}/").content.decode()
    assert 'hx-trigger="every 1s"' in progress(client, study).content.decode()
    OcclusionMap.objects.update(file=made.file)
    response = progress(client, study)
    assert "HX-Refresh" not in response
    assert "Show it" in response.content.decode()
    assert "hx-get" not in response.content.decode()
    assert "Show it" not in client.get(f"/studies/{study.pk}/").content.decode()


def test_who_asked_is_on_record_once_however_often(study, as_user, alice, sent, django_capture_on_commit_callbacks):
    client = as_user(alice)
    for _ in range(2):
        ask(client, study, django_capture_on_commit_callbacks)
    assert len(sent) == 1
    [event] = AccessEvent.objects.filter(verb="create", object_key=str(study.pk))
    assert (event.actor, event.detail) == (alice, "occlusion map")


def test_a_row_delivered_twice_is_added_once(study, alice, model, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        occlusion.ask(study, alice)
    first = OcclusionMap.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        tasks.draw_row.apply(kwargs=sent[0])
        occlusion._add(first, [0.0] * GRID, (100, 100))
    assert OcclusionMap.objects.get().done == 1
    assert len(sent) == 2  # the first call, and the one that it passed on


@pytest.mark.parametrize("answer", [ZeroDivisionError(), Refusal("not-a-hand", "No hand.", 1.0)])
def test_a_map_that_failed_says_so_and_goes_on_when_it_is_asked_for_again(
    study, as_user, alice, model, sent, answer, django_capture_on_commit_callbacks
):
    client = as_user(alice)
    ask(client, study, django_capture_on_commit_callbacks)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.draw_row.apply(kwargs=sent.pop())
    model.answer = answer
    tasks.draw_row.apply(kwargs=sent.pop())
    assert "could not be made" in client.get(f"/studies/{study.pk}/").content.decode()
    model.answer = None
    ask(client, study, django_capture_on_commit_callbacks)
    tasks.draw_row.apply(kwargs=sent.pop())
    assert model.rows == [0, 1, 1]


def test_a_map_that_no_worker_is_at_any_more_can_be_asked_for_again(
    study, as_user, alice, sent, django_capture_on_commit_callbacks
):
    client = as_user(alice)
    ask(client, study, django_capture_on_commit_callbacks)
    OcclusionMap.objects.update(heard_at=timezone.now() - timedelta(hours=1))
    page = client.get(f"/studies/{study.pk}/").content.decode()
    assert "No worker is at it any more" in page
    assert "Make an occlusion map" in page
    ask(client, study, django_capture_on_commit_callbacks)
    assert len(sent) == 2


def test_a_worker_thought_lost_that_fails_does_not_fail_the_map_that_was_asked_for_again(
    study, alice, model, sent, monkeypatch, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        occlusion.ask(study, alice)
    OcclusionMap.objects.update(heard_at=timezone.now() - timedelta(hours=1))

    def fail_late(*args):
        occlusion.ask(study, alice)
        raise MemoryError

    with monkeypatch.context() as slow:
        slow.setattr(model, "occlusion_row", fail_late)
        tasks.draw_row.apply(kwargs=sent[0])
    assert OcclusionMap.objects.get().is_pending
    tasks.draw_row.apply(kwargs=sent[0])
    assert OcclusionMap.objects.get().done == 1


def test_a_map_asked_for_again_while_its_call_only_waits_is_still_made_by_one_call_after_another(
    study, alice, model, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        occlusion.ask(study, alice)
        OcclusionMap.objects.update(heard_at=timezone.now() - timedelta(hours=1))
        occlusion.ask(study, alice)
    assert len(sent) == 2
    with django_capture_on_commit_callbacks(execute=True):
        for call in list(sent):
            tasks.draw_row.apply(kwargs=call)
    assert model.rows == [0]
    assert [call["row"] for call in sent] == [0, 0, 1]


def test_a_technician_sees_the_map_but_cannot_ask_for_one(study, as_user, tess):
    client = as_user(tess)
    assert "Make an occlusion map" not in client.get(f"/studies/{study.pk}/").content.decode()
    assert client.post(f"/studies/{study.pk}/occlusion/").status_code == 403
    assert not OcclusionMap.objects.exists()


@pytest.mark.parametrize(("kind", "gone"), [(ModelVersion, {"sha256": ""}), (Analysis, {"radiograph": ""})])
def test_a_study_whose_model_or_picture_is_not_kept_cannot_be_asked_for(study, as_user, alice, sent, kind, gone):
    kind.objects.update(**gone)
    client = as_user(alice)
    assert "Make an occlusion map" not in client.get(f"/studies/{study.pk}/").content.decode()
    client.post(f"/studies/{study.pk}/occlusion/")
    assert not OcclusionMap.objects.exists()


def test_the_map_goes_with_the_analysis(made, study):
    folder = f"heat-maps/{study.analysis_id}"
    assert storages["private"].listdir(folder)[1] == ["occlusion.png"]
    assert made.file.startswith(f"{folder}/")
