"""Occlusion maps: what the model's reading of a study rests on, made when a doctor asks.

A map takes some two hundred readings. The workers make one row of it at a time, so that a study that waits is read in
between, and what is done stays done whoever goes on.
"""

import logging
from datetime import timedelta

import numpy as np
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from clinical.accounts.permissions import clinician_required, doctor_required
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from clinical.studies.models import OcclusionMap, Study
from inference import registry
from inference.engine import Refusal, read_radiograph
from inference.engine.explanation import GRID
from inference.engine.orientation import Orientation, orientation
from inference.engine.regions import scaled
from inference.heat_map import overlay_png

logger = logging.getLogger(__name__)
FAILED = "The map could not be made. Ask for it again; if it stays so, tell the platform's staff."


# --- verbs ---------------------------------------------------------------------------------------------------


def possible(study):
    """Whether the picture and the model that read it are kept, so that it can be asked again."""
    analysis, version = study.analysis, study.analysis.model_version
    return analysis.bone_age_months is not None and bool(analysis.radiograph and version and version.sha256)


@transaction.atomic
def ask(study, actor):
    """Have the map made. Asked twice it is made once; one that failed, or that no worker is at any more, goes on."""
    occlusion, created = OcclusionMap.objects.get_or_create(
        analysis=study.analysis, defaults={"hospital": study.hospital, "asked_by": actor}
    )
    if not created:
        again = OcclusionMap.objects.filter(pk=occlusion.pk, file="", heard_at=occlusion.heard_at)
        if occlusion.is_pending and not is_lost(occlusion):
            return occlusion
        if not again.update(failure="", heard_at=timezone.now()):
            return occlusion
        occlusion.refresh_from_db()
    record(Verb.CREATE, study, actor=actor, detail="occlusion map")
    _deliver(occlusion, occlusion.done)
    return occlusion


def is_lost(occlusion):
    silent = timezone.now() - occlusion.heard_at
    return occlusion.is_pending and silent > timedelta(seconds=settings.INFERENCE_LEASE_SECONDS)


def _deliver(occlusion, row):
    from clinical.studies.tasks import draw_row

    kwargs = {"occlusion_id": str(occlusion.pk), "row": row, "hospital_id": occlusion.hospital_id}
    transaction.on_commit(lambda: draw_row.apply_async(kwargs=kwargs), robust=True)


# --- the worker's side ---------------------------------------------------------------------------------------


def draw_row(occlusion_id, row):
    """Make that row and pass the call on, until the map is whole.

    A call delivered twice adds nothing, and neither does one that was sent again while the first only waited behind
    studies: both would go on to the end, and a study would wait for two rows at a time.
    """
    occlusion = OcclusionMap.objects.select_related("analysis__model_version").filter(pk=occlusion_id).first()
    if occlusion is None or not occlusion.is_pending or occlusion.done != row:
        return
    try:
        _add(occlusion, *_read_row(occlusion))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("Occlusion map %s failed at row %s", occlusion.pk, occlusion.done)
        # Asked for again meanwhile, it is another worker's.
        mine = OcclusionMap.objects.filter(pk=occlusion.pk, done=occlusion.done, heard_at=occlusion.heard_at)
        mine.update(failure=FAILED)


def _read_row(occlusion):
    """(the row in months, the radiograph)"""
    with storages["private"].open(occlusion.analysis.radiograph) as file:
        pixels = read_radiograph(file.read()).pixels
    model = registry.load(occlusion.analysis.model_version)
    row = model.occlusion_row(pixels, occlusion.analysis.sex, occlusion.done)
    if isinstance(row, Refusal):
        raise ValueError(f"The model that read this picture now refuses it: {row.code}.")
    return [round(float(months), 3) for months in row], pixels


@transaction.atomic
def _add(occlusion, row, pixels):
    moved = [*occlusion.moved, row]
    # Whoever else has added this row was first.
    rows = OcclusionMap.objects.filter(pk=occlusion.pk, done=occlusion.done, failure="")
    if not rows.update(moved=moved, done=len(moved), heard_at=timezone.now()):
        return
    if len(moved) < GRID:
        _deliver(occlusion, len(moved))
        return
    analysis = occlusion.analysis
    lies = Orientation(analysis.mirrored, analysis.turned_degrees // 90, orientation(pixels).kept)
    overlay = ContentFile(overlay_png(lies.stored(scaled(np.array(moved))), pixels.shape))
    # In the folder of the analysis' heat maps, which goes when the patient's pictures go.
    name = storages["private"].save(f"heat-maps/{analysis.pk}/occlusion.png", overlay)
    OcclusionMap.objects.filter(pk=occlusion.pk).update(file=name, months=float(np.max(moved)))


# --- pages ---------------------------------------------------------------------------------------------------


def _study(pk):
    return get_object_or_404(Study.objects.select_related("hospital", "patient", "analysis__model_version"), pk=pk)


def context(study, membership, beside=None):
    """What studies/_occlusion.html and the viewers of the study and of the one beside it show."""
    analyses = [shown.analysis_id for shown in (study, beside) if shown]
    maps = {found.analysis_id: found for found in OcclusionMap.objects.filter(analysis__in=analyses).defer("moved")}
    occlusion = maps.get(study.analysis_id)
    return {
        "occlusion": occlusion,
        "occlusion_beside": maps.get(beside.analysis_id) if beside else None,
        "occlusion_lost": occlusion is not None and is_lost(occlusion),
        "may_ask_occlusion": membership.role == "doctor" and possible(study),
    }


@clinician_required
@require_http_methods(["GET", "POST"])
def occlusion(request, pk):
    """How far the map is, for everybody whose page waits for it; a doctor asks for it by a POST."""
    return _asked(request, pk) if request.method == "POST" else _progress(request, _study(pk))


@doctor_required
def _asked(request, pk):
    study = _study(pk)
    if possible(study):
        ask(study, request.user)
    return _progress(request, study)


def _progress(request, study):
    if not request.htmx:
        return redirect(f"{reverse('studies:detail', args=[study.pk])}#occlusion")
    # Never loads the page anew: a reading may be half typed there.
    found = {"study": study, "is_new": True, **context(study, request.membership)}
    return render(request, "studies/_occlusion.html", found)


@clinician_required
@require_GET
def occlusion_map(request, pk):
    study = _study(pk)
    name = OcclusionMap.objects.filter(analysis=study.analysis_id).values_list("file", flat=True).first()
    return deliver(request, study, Verb.VIEW, name, content_type="image/png", filename="occlusion-map.png")
