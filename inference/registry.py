"""The life of a ModelVersion: registered from a folder, run in the shadow, activated, retired.

Its files are kept in the private storage from its registration on, under their SHA-256: whatever becomes of the folder
they came from, the version that was registered is the one that serves, also when it is activated again years later.
"""

import logging
import math
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from inference.engine import BoneAgeModel, Refusal
from inference.engine.preprocessing import PREPROCESSING
from inference.engine.weights import fingerprint, read_card, serving_files, weights_folder
from inference.models import ModelVersion, ShadowAnalysis, State, VersionState
from inference.training.phantom import draw_phantom
from inference.workflow import WrongState

logger = logging.getLogger(__name__)
MOVED_ON = "The model has moved on meanwhile; look at where it stands now."
UNENDED = "A worker tries it out and has not come to an end; unless it is at it now, it ran out of memory or time."


class ModelUnavailable(Exception):
    """There is no version to serve, or its files are not those that were registered. Its text is for the log."""


# --- what serves ---------------------------------------------------------------------------------------------


def active():
    """The version that reads studies now, or None before the first."""
    return ModelVersion.objects.filter(state=VersionState.ACTIVE).first()


def load(version):
    """The BoneAgeModel of `version`. Raises ModelUnavailable where its kept files are missing or were changed."""
    if not version.sha256:
        raise ModelUnavailable(f"The files of {version} were never kept; register it from its folder, or another one.")
    return _load(version.sha256, str(version))


@lru_cache(maxsize=2)  # the active version and the one in the shadow
def _load(sha256, title):
    folder = _local(sha256)
    try:
        found = fingerprint(folder)
    except OSError as error:
        raise ModelUnavailable(f"The kept files of {title} cannot be read: {error}.") from error
    if found != sha256:
        raise ModelUnavailable(f"The kept files of {title} were changed: SHA-256 {found}, registered as {sha256}.")
    card = read_card(folder)
    if "interval" in card and card.get("preprocessing", 1) != PREPROCESSING:
        # It serves on: whether another version takes its place is for the administrators to say.
        logger.warning("%s was calibrated on images prepared another way; its readings may have moved", title)
    return BoneAgeModel.load(card["name"], settings.INFERENCE_RUNTIME, folder)


def _kept(sha256):
    return f"models/{sha256}"


def _local(sha256):
    """The kept files as a folder of this machine: where they are, or fetched once from an object storage."""
    storage = storages["private"]
    try:
        return Path(storage.path(_kept(sha256)))
    except NotImplementedError:
        folder = settings.VAR_DIR / _kept(sha256)
        folder.mkdir(parents=True, exist_ok=True)
        for name in _names(storage, _kept(sha256)):
            path = folder / name
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                part = path.with_name(f".{path.name}")
                with storage.open(f"{_kept(sha256)}/{name}") as file:
                    part.write_bytes(file.read())
                part.rename(path)
        return folder


def _names(storage, place):
    """The kept files, and those in the folders of an ensemble's members."""
    folders, files = storage.listdir(place)
    return [*files, *(f"{inner}/{name}" for inner in folders for name in storage.listdir(f"{place}/{inner}")[1])]


def _keep(folder, sha256):
    storage = storages["private"]
    for path in serving_files(folder):
        name, content = f"{_kept(sha256)}/{path.relative_to(folder).as_posix()}", path.read_bytes()
        # A registration that broke off may have left a part of the file.
        if storage.exists(name) and storage.size(name) == len(content):
            continue
        storage.delete(name)
        storage.save(name, ContentFile(content))


# --- verbs ---------------------------------------------------------------------------------------------------


def register(folder, actor=None):
    """Keep the files of the model in `folder` and return its version, a candidate.

    Raises WrongState where the same name and version were registered with other files.
    """
    card, sha256 = read_card(folder), fingerprint(folder)
    with transaction.atomic():
        version, created = ModelVersion.objects.get_or_create(name=card["name"], version=card["version"])
        # Locked while its files are kept: workers that start at once would delete each other's half-written ones.
        version = ModelVersion.objects.select_for_update().get(pk=version.pk)
        if version.sha256 not in ("", sha256):
            raise WrongState(
                f"{version} is registered with other files (SHA-256 {version.sha256[:12]}, these are {sha256[:12]}). "
                "Files that were changed need a version of their own in card.json."
            )
        _keep(folder, sha256)
        adopted = created or not version.sha256
        version.card, version.sha256 = card, sha256
        version.save(update_fields=["card", "sha256"])
        if adopted:
            record(Verb.REGISTER_MODEL, version, actor=actor, detail=str(version))
            _ask_for_trial(version)
    return version


@transaction.atomic
def try_again(version, actor=None):
    """Have a worker try the version out once more, when what was missing is there."""
    record(Verb.RETRY, version, actor=actor, detail=str(version))
    _ask_for_trial(version)


def _ask_for_trial(version):
    """Have a worker try the version out; the web process loads no model."""
    from inference.tasks import try_version

    transaction.on_commit(lambda: try_version.delay(version_id=version.pk), robust=True)


def try_out(version):
    """Load the version and have it read a drawn hand: one that cannot is kept from serving, and says why.

    A refusal is no fault: the hand is drawn, and a gate may well tell.
    """

    def told(problem):
        ModelVersion.objects.filter(pk=version.pk).update(tried_at=timezone.now(), problem=problem)

    told(UNENDED)  # what takes a worker's life or all its time leaves nobody to say so afterwards
    problem = ""
    try:
        # Past the cache: what may never serve does not take the place of what does.
        [outcome] = _load.__wrapped__(version.sha256, str(version)).predict(
            [draw_phantom(120, "F", seed=1, size=700)], ["F"]
        )
        if not isinstance(outcome, Refusal) and not all(
            map(math.isfinite, (outcome.low_months, outcome.bone_age_months, outcome.high_months))
        ):
            problem = "It reads no number in a drawn hand."
    except Exception as error:  # whatever it is, it would happen with a study too
        logger.error("%s cannot serve: %s", version, error)
        problem = f"{error}"[:400] or type(error).__name__
    told(problem)


@transaction.atomic
def activate(version, actor=None, *, seen):
    """Let `version` read studies from now on, in place of the version whose key is `seen` (None: of none).

    Raises WrongState when another one serves by now, when it serves already, when its files were never kept, or when
    a worker found that it cannot serve.
    """
    # Of two activations at once the second waits here, and then sees that another version serves.
    rows = {row.pk: row for row in ModelVersion.objects.select_for_update().order_by("pk")}
    serving = next((row.pk for row in rows.values() if row.state == VersionState.ACTIVE), None)
    version = rows[version.pk]
    if serving != seen or serving == version.pk:
        raise WrongState(MOVED_ON)
    if not version.sha256:
        raise WrongState(f"The files of {version} were never kept. Register it from its folder first.")
    if version.problem:
        raise WrongState(f"{version} cannot serve: {version.problem}")
    if version.shadows:
        end_shadow_run(version, actor)
    ModelVersion.objects.filter(pk=serving).update(state=VersionState.RETIRED)
    try:
        with transaction.atomic():
            ModelVersion.objects.filter(pk=version.pk).update(
                state=VersionState.ACTIVE, activated_at=timezone.now(), activated_by=actor
            )
    except IntegrityError:  # the first two of all came at once
        raise WrongState(MOVED_ON) from None
    record(Verb.ACTIVATE_MODEL, version, actor=actor, detail=str(version))


def _change(version, actor, verb, *conditions, **fields):
    if not ModelVersion.objects.filter(*conditions, pk=version.pk, state=VersionState.CANDIDATE).update(**fields):
        raise WrongState(MOVED_ON)
    record(verb, version, actor=actor, detail=str(version))


@transaction.atomic
def start_shadow_run(version, actor=None):
    """Let the candidate read new studies beside the active version. Raises WrongState while another one does, and when
    a worker found that it cannot serve.
    """
    if problem := ModelVersion.objects.values_list("problem", flat=True).get(pk=version.pk):
        raise WrongState(f"{version} cannot serve: {problem}")
    try:
        with transaction.atomic():
            ready = Q(shadows=False, problem="") & ~Q(sha256="")
            _change(version, actor, Verb.START_SHADOW_RUN, ready, shadows=True)
    except IntegrityError:
        raise WrongState("Another candidate is in its shadow run. End that one first.") from None


@transaction.atomic
def end_shadow_run(version, actor=None):
    """Stop; what it has read is kept, what still waits is cancelled."""
    _change(version, actor, Verb.END_SHADOW_RUN, Q(shadows=True), shadows=False)
    with every_hospital():
        ShadowAnalysis.objects.filter(model_version=version, state=State.QUEUED).update(
            state=State.CANCELLED, finished_at=timezone.now()
        )


@transaction.atomic
def retire(version, actor=None):
    """Put a candidate aside. It can still be activated later. Raises WrongState during its shadow run."""
    _change(version, actor, Verb.RETIRE_MODEL, Q(shadows=False), state=VersionState.RETIRED)


# --- at a worker's start -------------------------------------------------------------------------------------


def register_deployed():
    """Register the model of INFERENCE_MODEL as it lies in this installation.

    The first of all serves at once. A newer one serves at once where INFERENCE_ACTIVATE_ON_DEPLOY says so, else it is
    a candidate. One that was registered before stays as the administrators left it.
    """
    folder = weights_folder(settings.INFERENCE_MODEL)
    card = read_card(folder)
    known = ModelVersion.objects.filter(name=card["name"], version=card["version"]).exclude(sha256="").first()
    if known and known.sha256 == fingerprint(folder):
        if known.card != card:  # figures measured since
            ModelVersion.objects.filter(pk=known.pk).update(card=card)
        return
    try:
        version = register(folder)
    except WrongState as error:
        logger.error("The model in %s is not used: %s", folder, error)
        return
    serving = active()
    if serving == version:
        return
    if serving is None or not serving.sha256 or settings.INFERENCE_ACTIVATE_ON_DEPLOY:
        try:
            activate(version, seen=serving and serving.pk)
        except WrongState:
            return  # another worker, or an administrator, was faster
        logger.warning("%s reads studies from now on", version)
    else:
        logger.warning("%s is registered as a candidate; activate it in the administration", version)
