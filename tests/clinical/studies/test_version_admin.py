"""Versions of the model in the administration: for platform staff alone, and through the registry's verbs."""

import json

import pytest
from django.contrib.auth.models import Permission
from django.test import TestCase
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.studies import version_admin
from inference import registry, tasks
from inference.models import ModelVersion, ShadowAnalysis
from tests.factories import AnalysisFactory, HospitalFactory, ReviewFactory, StudyFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")
LIST = "/admin/inference/modelversion/"


@pytest.fixture
def looking(db):
    """Platform staff who may look at models, and change none."""
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    return user


@pytest.fixture
def active(db):
    return ModelVersion.objects.create(name="m", version="1", sha256="1" * 64, state="active")


@pytest.fixture
def candidate(db):
    return ModelVersion.objects.create(name="m", version="2", sha256="2" * 64)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "trained" / "ours"
    path.mkdir(parents=True)
    (path / "card.json").write_text(json.dumps({"name": "two_stage_compact", "version": "ours-1", "interval": {}}))
    (path / "age.onnx").write_bytes(b"weights")
    (path.parent / "broken").mkdir()
    (path.parent / "broken" / "card.json").write_text("{")
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(path.parent))
    return path


def page(version, *more):
    return "/".join([f"{LIST}{version.pk}", *more, ""])


def do(client, version, verb, **fields):
    return client.post(page(version, "do", verb), fields, follow=True)


def test_the_card_is_a_page(as_user, root, active):
    card = json.loads((registry.weights_folder("two_stage_compact") / "card.json").read_text())
    ModelVersion.objects.update(card=card)
    text = as_user(root).get(page(active, "change")).content.decode()
    assert card["not_for"] in text
    assert "MAE, months" in text
    assert f"{next(iter(card['evaluation'].values()))['mae_months']:.2f}" in text
    assert active.sha256 in text


def test_a_card_without_figures_says_so(as_user, root, candidate):
    text = as_user(root).get(page(candidate, "change")).content.decode()
    assert "Its card holds no figure" in text


def test_activating_asks_says_what_it_replaces_and_can_be_undone(as_user, root, active, candidate):
    client = as_user(root)
    asked = client.get(page(candidate, "do", "activate"))
    assert "m 1 serves until then" in asked.content.decode()
    assert "has read no study of this installation" in asked.content.decode()
    assert registry.active() == active
    said = do(client, candidate, "activate", seen=asked.context["seen"]).content.decode()
    assert "To go back, activate m 1 again." in said
    assert registry.active() == candidate
    do(client, active, "activate", seen=candidate.pk)
    assert registry.active() == active


@pytest.mark.parametrize("seen", ["999", "abc", "0", "9" * 5000, ""])
def test_an_activation_in_sight_of_another_version_changes_nothing(as_user, root, active, candidate, seen):
    said = do(as_user(root), candidate, "activate", seen=seen).content.decode()
    assert "has moved on meanwhile" in said
    assert registry.active() == active


@pytest.mark.parametrize("verb", version_admin.VERBS)
def test_a_page_offers_what_fits_and_asking_changes_nothing(as_user, root, active, candidate, verb):
    offered = [name for name, _ in as_user(root).get(page(candidate, "change")).context["verbs"]]
    assert offered == ["activate", "start-shadow-run", "try-again", "retire"]
    before = list(ModelVersion.objects.values())
    assert as_user(root).get(page(candidate, "do", verb)).status_code == 200
    assert list(ModelVersion.objects.values()) == before


def test_a_version_that_cannot_serve_says_why_and_offers_another_trial(as_user, root, active, candidate, monkeypatch):
    ModelVersion.objects.filter(pk=candidate.pk).update(problem="The network takes no image.", tried_at=timezone.now())
    client = as_user(root)
    response = client.get(page(candidate, "change"))
    assert "The network takes no image." in response.content.decode()
    assert [name for name, _ in response.context["verbs"]] == ["try-again", "retire"]
    assert "Candidate, cannot serve" in client.get(LIST).content.decode()
    assert "cannot serve" in do(client, candidate, "activate", seen=active.pk).content.decode()
    assert registry.active() == active
    asked = []
    monkeypatch.setattr(tasks.try_version, "delay", lambda **given: asked.append(given))
    with TestCase.captureOnCommitCallbacks(execute=True):
        do(client, candidate, "try-again")
    assert asked == [{"version_id": candidate.pk}]
    event = AccessEvent.objects.get(object_type="modelversion")
    assert (event.verb, event.actor, event.object_key, event.detail) == ("retry", root, str(candidate.pk), "m 2")


def test_one_that_was_not_tried_is_activated_with_a_warning(as_user, root, active, candidate):
    client = as_user(root)
    assert "No worker has loaded it yet" in client.get(page(candidate, "do", "activate")).content.decode()
    ModelVersion.objects.filter(pk=candidate.pk).update(tried_at=timezone.now())
    assert "No worker has loaded it yet" not in client.get(page(candidate, "do", "activate")).content.decode()
    assert "had it read a drawn hand" in client.get(page(candidate, "change")).content.decode()


def test_a_shadow_run_is_started_and_ended(as_user, root, active, candidate):
    client = as_user(root)
    do(client, candidate, "start-shadow-run")
    assert ModelVersion.objects.get(shadows=True) == candidate
    do(client, candidate, "end-shadow-run")
    assert not ModelVersion.objects.filter(shadows=True).exists()


@pytest.mark.parametrize("where", [("do", "activate"), ("do", "retire"), ("shadow-run",), ("change",)])
@pytest.mark.parametrize("person", ["alice", "ada", "charlie", "mother"])
def test_nobody_but_platform_staff_comes_in(request, as_user, candidate, person, where):
    client = as_user(request.getfixturevalue(person))
    for method in (client.get, client.post):
        assert method(page(candidate, *where)).status_code in (302, 403, 404)
        assert method(f"{LIST}register/").status_code in (302, 403, 404)
    assert ModelVersion.objects.get().state == "candidate"


def test_staff_who_may_only_look_change_nothing(as_user, looking, candidate, folder):
    client = as_user(looking)
    assert client.get(page(candidate, "change")).context["verbs"] == []
    assert client.get(f"{LIST}register/").status_code == 200
    assert client.post(page(candidate, "do", "activate"), {"seen": ""}).status_code == 403
    assert client.post(f"{LIST}register/", {"folder": str(folder)}).status_code == 403
    assert [version.state for version in ModelVersion.objects.all()] == ["candidate"]


def test_a_shadow_run_is_for_those_who_may_see_its_readings_and_each_look_is_on_record(
    as_user, looking, candidate, hospital, other_hospital
):
    for place in (hospital, hospital, other_hospital):
        ShadowAnalysis.objects.create(
            analysis=AnalysisFactory(hospital=place), hospital=place, model_version=candidate, state="analysed"
        )
    HospitalFactory()
    path, client = page(candidate, "shadow-run"), as_user(looking)
    assert client.get(path).status_code == 403
    assert f'href="{path}"' not in client.get(page(candidate, "change")).content.decode()
    assert not AccessEvent.objects.exists()

    looking.user_permissions.add(Permission.objects.get(codename="view_shadowanalysis"))
    assert client.get(path).status_code == 200
    assert f'href="{path}"' in client.get(page(candidate, "change")).content.decode()
    events = AccessEvent.objects.values_list("verb", "actor", "hospital", "object_type", "detail")
    assert set(events) == {
        ("view", looking.pk, place.pk, "hospital", "shadow run of m 2") for place in (hospital, other_hospital)
    }


def test_staff_without_the_permission_sees_nothing(as_user, candidate):
    client = as_user(UserFactory(is_staff=True))
    for path in (LIST, page(candidate, "change"), page(candidate, "shadow-run"), f"{LIST}register/"):
        assert client.get(path).status_code == 403


def test_what_is_not_there_is_not_found(as_user, root, candidate):
    client = as_user(root)
    assert client.get(page(candidate, "do", "explode")).status_code == 404
    assert client.post(f"{LIST}{candidate.pk + 1}/do/activate/").status_code == 404


def test_a_folder_is_registered_and_one_that_is_broken_says_why(as_user, root, folder):
    client = as_user(root)
    text = client.get(f"{LIST}register/").content.decode()
    assert "broken" in text
    assert "cannot be read" in text
    client.post(f"{LIST}register/", {"folder": str(folder)})
    version = ModelVersion.objects.get()
    assert (version.version, version.state) == ("ours-1", "candidate")
    assert page(version, "change") in client.get(f"{LIST}register/").content.decode()


@pytest.mark.parametrize("folder_name", ["broken", "../..", "nowhere", ""])
def test_only_a_folder_of_the_list_is_registered(as_user, root, folder, folder_name):
    response = as_user(root).post(f"{LIST}register/", {"folder": str(folder.parent / folder_name)}, follow=True)
    assert response.status_code == 200
    assert not ModelVersion.objects.exists()


def test_the_comparison_of_all_systems_is_shown_where_it_was_written(as_user, root, monkeypatch, tmp_path):
    path = tmp_path / "comparison.json"
    monkeypatch.setattr(version_admin, "COMPARISON", path)
    trained = {
        "preset": "two_stage_compact",
        "status": "trained",
        "published": "",
        "evaluation": {"n": 1250, "mae_months": 9.288, "mae_ci95": [8.81, 9.73], "r2": 0.9115, "within_12": 73.52},
        "cost": {"parameters": 7_700_000, "milliseconds": 81.2},
    }
    untrained = {"preset": "vit", "status": "not trained", "published": "8.0 months", "source": "A paper"}
    path.write_text(json.dumps({"systems": [trained, untrained]}))
    text = as_user(root).get(f"{LIST}register/").content.decode()
    for shown in ("9.29", "8.81 to 9.73", "0.912", "74 %", "7.7 million", "81 ms", "not trained", "8.0 months"):
        assert shown in text


@pytest.mark.parametrize("content", [None, "not JSON", "{}"])
def test_without_a_comparison_the_folders_are_there_all_the_same(as_user, root, monkeypatch, tmp_path, content):
    path = tmp_path / "comparison.json"
    monkeypatch.setattr(version_admin, "COMPARISON", path)
    if content is not None:
        path.write_text(content)
    text = as_user(root).get(f"{LIST}register/").content.decode()
    assert "two_stage_compact" in text
    assert "All systems" not in text


def test_the_shadow_run_is_a_page_with_its_figures(as_user, root, active, candidate, patient):
    client = as_user(root)
    assert "Nothing to compare yet" in client.get(page(candidate, "shadow-run")).content.decode()
    for months in (104.0, 111.0):
        study = StudyFactory(
            patient=patient,
            state="analysed",
            analysis__model_version=active,
            analysis__bone_age_months=100.0,
            analysis__milliseconds=120.0,
        )
        row = ShadowAnalysis.objects.create(
            analysis=study.analysis,
            hospital=study.hospital,
            model_version=candidate,
            sex="F",
            state="analysed",
            bone_age_months=months,
            milliseconds=80.0,
        )
    response = client.get(page(candidate, "shadow-run"))
    text = response.content.decode()
    asked = client.get(page(candidate, "do", "activate")).content.decode()
    assert "it read 2 studies of this installation, on average +7.5 months from what served: 50 % within 6" in asked
    assert "that are signed" not in asked
    ReviewFactory(study=study, bone_age_months=110.0)
    type(study).objects.filter(pk=study.pk).update(state="signed")
    asked = client.get(page(candidate, "do", "activate")).content.decode()
    assert "From the one that is signed it was 1.0 months off, what served 10.0." in asked
    assert response.context["found"].all.bias == 7.5
    assert "7.5" in text
    assert text.count("<circle") == 2
    assert f"/admin/inference/shadowanalysis/{row.pk}/change/" in text
    assert client.get(f"/admin/inference/shadowanalysis/{row.pk}/change/").status_code == 200
    assert client.get(f"/admin/inference/shadowanalysis/?model_version__id__exact={candidate.pk}").status_code == 200


def test_many_studies_are_read_again_by_the_active_version(as_user, root, active, patient):
    older = ModelVersion.objects.create(name="m", version="0", state="retired")
    studies = [StudyFactory(patient=patient, state="analysed", analysis__model_version=older) for _ in range(2)]
    done = StudyFactory(patient=patient, state="analysed", analysis__model_version=active)
    fields = {"action": "reanalyse", "_selected_action": [study.pk for study in (*studies, done)]}
    response = as_user(root).post("/admin/studies/study/", fields, follow=True)
    assert "Done for 2 of 3 studies." in response.content.decode()
    for study in studies:
        study.refresh_from_db()
        assert study.reanalysis.state == "queued"


def test_a_hospitals_administrator_sees_no_shadow(as_user, ada, active, candidate, hospital):
    analysis = AnalysisFactory(hospital=hospital, state="analysed", model_version=active)
    row = ShadowAnalysis.objects.create(analysis=analysis, hospital=hospital, model_version=candidate)
    for path in ("", f"{row.pk}/change/"):
        assert as_user(ada).get(f"/admin/inference/shadowanalysis/{path}").status_code == 404
