"""Versions of the model: registered, run in the shadow, activated, retired; their files are kept and checked."""

import json

import pytest
from django.core.files.storage import FileSystemStorage, storages
from django.db import IntegrityError, transaction

from clinical.accounts.scope import every_hospital
from clinical.audit.models import AccessEvent
from inference import registry
from inference.engine.model import DEFAULT_MODEL
from inference.engine.weights import SHIPPED, fingerprint
from inference.models import ModelVersion, ShadowAnalysis, State, VersionState
from inference.workflow import WrongState
from tests.factories import AnalysisFactory
from tests.model_files import from_elsewhere


@pytest.fixture(autouse=True)
def nothing_loaded(db):
    registry._load.cache_clear()
    yield
    registry._load.cache_clear()


@pytest.fixture
def folder(tmp_path):
    """Writes a folder that holds "a model": `folder(version, weights)`."""

    def make(version="1", weights=b"weights", name=DEFAULT_MODEL):
        path = tmp_path / "trained" / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "card.json").write_text(json.dumps({"name": name, "version": version, "interval": {}}))
        (path / "age.onnx").write_bytes(weights)
        return path

    return make


@pytest.fixture
def deployed(folder, monkeypatch):
    """The same folder, as the one of INFERENCE_MODEL."""

    def make(*args):
        path = folder(*args)
        monkeypatch.setenv("BONEAGE_WEIGHTS", str(path.parent))
        return path

    return make


def version_in(state, number=1, **fields):
    return ModelVersion.objects.create(name="m", version=str(number), sha256=f"{number:064}", state=state, **fields)


def state_of(version):
    row = ModelVersion.objects.get(pk=version.pk)
    return f"{row.state}, shadows" if row.shadows else row.state


# --- the table -----------------------------------------------------------------------------------------------

VERBS = {
    "activate": lambda version, actor: registry.activate(version, actor, seen=None),
    "start shadow run": registry.start_shadow_run,
    "end shadow run": registry.end_shadow_run,
    "retire": registry.retire,
}
TABLE = {
    ("activate", "candidate"): "active",
    ("activate", "candidate, shadows"): "active",
    ("activate", "retired"): "active",
    ("start shadow run", "candidate"): "candidate, shadows",
    ("end shadow run", "candidate, shadows"): "candidate",
    ("retire", "candidate"): "retired",
}
STATES = ["candidate", "candidate, shadows", "active", "retired"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_works_from_its_states_is_recorded_and_changes_nothing_from_any_other(root, verb, state):
    version = version_in(state.split(",")[0], shadows="shadows" in state)
    expected = TABLE.get((verb, state), state)
    if (verb, state) in TABLE:
        VERBS[verb](version, root)
    else:
        with pytest.raises(WrongState):
            VERBS[verb](version, root)
    assert state_of(version) == expected
    events = AccessEvent.objects.with_scopes_disabled().filter(object_type="modelversion")
    assert {event.actor for event in events} == ({root} if (verb, state) in TABLE else set())


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_done_twice_counts_once(root, verb):
    state = next(state for (each, state) in TABLE if each == verb)
    version = version_in(state.split(",")[0], shadows="shadows" in state)
    VERBS[verb](version, root)
    with pytest.raises(WrongState):
        VERBS[verb](version, root)


def test_activating_retires_the_one_before_and_is_undone_by_activating_that_again(root):
    old, new = version_in("active", 1), version_in("candidate", 2)
    registry.activate(new, root, seen=old.pk)
    assert (state_of(old), state_of(new)) == ("retired", "active")
    new.refresh_from_db()
    assert new.activated_by == root
    assert new.activated_at is not None
    registry.activate(old, root, seen=new.pk)
    assert (state_of(old), state_of(new)) == ("active", "retired")


def test_who_did_not_see_what_serves_now_does_not_replace_it(root):
    old, new, other = version_in("active", 1), version_in("candidate", 2), version_in("candidate", 3)
    registry.activate(new, root, seen=old.pk)
    with pytest.raises(WrongState):
        registry.activate(other, root, seen=old.pk)
    assert [state_of(version) for version in (old, new, other)] == ["retired", "active", "candidate"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"state": "active"}, {"state": "active"}],
        [{"shadows": True}, {"shadows": True}],
        [{"state": "retired", "shadows": True}],
    ],
)
def test_the_database_itself_holds_one_active_version_and_one_shadowing_candidate(db, rows):
    *fitting, last = [ModelVersion(name="m", version=str(number), **row) for number, row in enumerate(rows)]
    for row in fitting:
        row.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        last.save()


def test_one_candidate_at_a_time_runs_in_the_shadow(root):
    first, second = version_in("candidate", 1), version_in("candidate", 2)
    registry.start_shadow_run(first, root)
    with pytest.raises(WrongState, match="End that one first"):
        registry.start_shadow_run(second, root)


def test_a_candidate_that_is_being_tried_out_begins_no_shadow_run_and_that_is_said(root):
    with pytest.raises(WrongState, match="cannot serve: A worker tries it out"):
        registry.start_shadow_run(version_in("candidate", problem=registry.UNENDED), root)


@pytest.mark.parametrize("end", ["end", "activate"])
def test_what_still_waits_of_a_shadow_run_is_cancelled_with_it(hospital, root, end):
    candidate = version_in("candidate", shadows=True)
    with every_hospital():
        rows = {
            state: ShadowAnalysis.objects.create(
                analysis=AnalysisFactory(hospital=hospital), hospital=hospital, model_version=candidate, state=state
            )
            for state in (State.QUEUED, State.ANALYSED)
        }
    if end == "end":
        registry.end_shadow_run(candidate, root)
    else:
        registry.activate(candidate, root, seen=None)
    with every_hospital():
        after = {state: ShadowAnalysis.objects.get(pk=row.pk).state for state, row in rows.items()}
    assert after == {State.QUEUED: State.CANCELLED, State.ANALYSED: State.ANALYSED}


# --- registering ---------------------------------------------------------------------------------------------


def test_a_registered_model_keeps_its_files_whatever_becomes_of_the_folder(folder, root):
    path = folder("1", b"first")
    version = registry.register(path, root)
    assert (version.name, version.version, version.state) == (DEFAULT_MODEL, "1", VersionState.CANDIDATE)
    assert version.sha256 == fingerprint(path)
    folder("2", b"second")
    with storages["private"].open(f"models/{version.sha256}/age.onnx") as file:
        assert file.read() == b"first"
    assert fingerprint(registry._local(version.sha256)) == version.sha256


def test_registering_again_changes_nothing(folder, root):
    first = registry.register(folder(), root)
    assert registry.register(folder(), root) == first
    assert AccessEvent.objects.with_scopes_disabled().filter(verb="register model").count() == 1


def test_other_files_under_a_registered_version_are_refused(folder, root):
    registry.register(folder("1", b"first"), root)
    with pytest.raises(WrongState, match="need a version of their own"):
        registry.register(folder("1", b"second"), root)


def test_a_registration_that_broke_off_is_finished_the_next_time(folder, root):
    path = folder("1", b"weights")
    sha256 = fingerprint(path)
    (registry._local(sha256)).mkdir(parents=True)
    (registry._local(sha256) / "age.onnx").write_bytes(b"wei")
    version = registry.register(path, root)
    assert fingerprint(registry._local(version.sha256)) == sha256


# --- at a worker's start -------------------------------------------------------------------------------------


def test_the_first_model_of_all_serves_without_a_click(deployed, settings):
    settings.INFERENCE_ACTIVATE_ON_DEPLOY = False
    deployed("1")
    registry.register_deployed()
    version = registry.active()
    assert (version.version, version.activated_by) == ("1", None)


@pytest.mark.parametrize(("on_deploy", "serves"), [(True, "2"), (False, "1")])
def test_a_newer_one_serves_where_the_setting_says_so_and_waits_otherwise(deployed, settings, on_deploy, serves):
    settings.INFERENCE_ACTIVATE_ON_DEPLOY = on_deploy
    deployed("1", b"first")
    registry.register_deployed()
    deployed("2", b"second")
    registry.register_deployed()
    assert registry.active().version == serves
    assert ModelVersion.objects.count() == 2


def test_a_worker_that_starts_again_leaves_the_administrators_choice(deployed, root):
    deployed("1", b"first")
    registry.register_deployed()
    deployed("2", b"second")
    registry.register_deployed()
    registry.activate(ModelVersion.objects.get(version="1"), root, seen=registry.active().pk)
    registry.register_deployed()
    assert registry.active().version == "1"


def test_a_version_of_before_files_were_kept_goes_on_with_its_files(deployed):
    old = ModelVersion.objects.create(name=DEFAULT_MODEL, version="1", state="active")
    path = deployed("1")
    registry.register_deployed()
    old.refresh_from_db()
    assert (old.sha256, old.state) == (fingerprint(path), "active")


def test_a_version_whose_files_were_never_kept_gives_way_to_the_deployed_one(deployed, settings):
    settings.INFERENCE_ACTIVATE_ON_DEPLOY = False
    ModelVersion.objects.create(name=DEFAULT_MODEL, version="0", state="active")
    deployed("1")
    registry.register_deployed()
    assert registry.active().version == "1"


def test_figures_measured_later_reach_the_card(deployed):
    path = deployed("1")
    registry.register_deployed()
    card = json.loads((path / "card.json").read_text()) | {"evaluation": {"test": {"mae_months": 7.0}}}
    (path / "card.json").write_text(json.dumps(card))
    registry.register_deployed()
    assert registry.active().card == card


def test_a_deployed_folder_that_was_changed_is_named_in_the_log_and_not_used(deployed, caplog):
    deployed("1", b"first")
    registry.register_deployed()
    first = registry.active()
    deployed("1", b"tampered")
    registry.register_deployed()
    assert "is not used" in caplog.text
    assert registry.active() == first
    with storages["private"].open(f"models/{first.sha256}/age.onnx") as file:
        assert file.read() == b"first"


# --- loading -------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(db):
    return registry.register(SHIPPED / "two_stage_compact")


def test_the_kept_files_are_the_model(shipped):
    model = registry.load(shipped)
    assert f"{model.name} {model.version}" == str(shipped)
    assert registry.load(shipped) is model


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "age.onnx").write_bytes(b"tampered"),
        lambda folder: (folder / "age.onnx").unlink(),
        lambda folder: (folder / "another.npz").write_bytes(b""),
        lambda folder: (folder / "card.json").unlink(),
    ],
)
def test_files_that_were_changed_are_never_loaded(folder, spoil):
    version = registry.register(folder())
    spoil(registry._local(version.sha256))
    with pytest.raises(registry.ModelUnavailable):
        registry.load(version)


def test_a_version_of_images_prepared_another_way_serves_on_and_the_log_says_so(folder, monkeypatch, caplog):
    monkeypatch.setattr(registry.BoneAgeModel, "load", lambda name, runtime, folder: name)
    path = folder()
    assert registry.load(registry.register(path)) == DEFAULT_MODEL
    assert "prepared another way" in caplog.text

    caplog.clear()
    card = {"name": DEFAULT_MODEL, "version": "2", "interval": {}, "preprocessing": registry.PREPROCESSING}
    (path / "card.json").write_text(json.dumps(card))
    assert registry.load(registry.register(path)) == DEFAULT_MODEL
    assert "prepared another way" not in caplog.text


def test_a_version_without_kept_files_is_not_loaded(db):
    with pytest.raises(registry.ModelUnavailable, match="never kept"):
        registry.load(ModelVersion.objects.create(name="m", version="1"))


@pytest.mark.parametrize("has_members", [False, True])
def test_a_model_in_an_object_storage_is_fetched_once(folder, settings, monkeypatch, tmp_path, has_members):
    path = folder()
    if has_members:
        from_elsewhere(path / "elsewhere")
    version = registry.register(path)
    storage = storages["private"]

    def no_path(name):
        raise NotImplementedError

    settings.VAR_DIR = tmp_path / "var"
    monkeypatch.setattr(storage, "path", no_path)
    kept = tmp_path / "private" / "models" / version.sha256
    monkeypatch.setattr(storage, "listdir", FileSystemStorage(tmp_path / "private").listdir)
    monkeypatch.setattr(storage, "_open", lambda name, mode="rb": (kept.parents[1] / name).open(mode))
    assert fingerprint(registry._local(version.sha256)) == version.sha256
    assert registry._local(version.sha256) == tmp_path / "var" / "models" / version.sha256
