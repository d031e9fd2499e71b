"""The versions of the model in the administration: register, compare in the shadow, activate, go back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.urls import path, reverse
from django.utils.html import format_html

from clinical.accounts.models import Hospital
from clinical.administration.filters import of_days
from clinical.administration.rows import ReadOnlyAdmin
from clinical.audit.record import Verb, record_each
from clinical.studies.bland_altman import plot
from clinical.studies.shadow_comparison import AGREEMENT_MONTHS, compare
from inference import registry
from inference.admin import RunAdmin
from inference.engine.weights import available_models, fingerprint
from inference.models import ModelVersion, ShadowAnalysis, VersionState
from inference.training.card import FIGURES
from inference.workflow import WrongState

COMPARISON = settings.BASE_DIR / "docs" / "comparison.json"


@dataclass(frozen=True)
class _Verb:
    """A verb of the registry, and the words of the page that asks first."""

    act: Callable
    label: str
    question: str
    done: str
    fits: Callable


VERBS = {
    "activate": _Verb(
        registry.activate,
        "Activate",
        "Every study that is analysed from now on is read by it. What was read before stays as it is.",
        "{} reads studies from now on.",
        lambda version: version.state != VersionState.ACTIVE and version.sha256 and not version.problem,
    ),
    "start-shadow-run": _Verb(
        registry.start_shadow_run,
        "Start a shadow run",
        "It reads every new study too, after the active version and when no study waits. Nobody sees what it reads but "
        "the platform's staff, here.",
        "{} reads new studies in the shadow.",
        lambda version: (
            version.state == VersionState.CANDIDATE and not version.shadows and version.sha256 and not version.problem
        ),
    ),
    "try-again": _Verb(
        registry.try_again,
        "Try it again",
        "A worker loads it and has it read a drawn hand. Its page says what came of it; nothing else changes.",
        "A worker tries {} as soon as it is free. Load this page again to see what came of it.",
        lambda version: version.sha256 and (version.problem or not version.tried_at),
    ),
    "end-shadow-run": _Verb(
        registry.end_shadow_run,
        "End the shadow run",
        "What it has read is kept for the comparison; what still waits is cancelled.",
        "The shadow run of {} has ended.",
        lambda version: version.shadows,
    ),
    "retire": _Verb(
        registry.retire,
        "Put aside",
        "It is no candidate any more. It can still be activated later.",
        "{} is put aside.",
        lambda version: version.state == VersionState.CANDIDATE and not version.shadows,
    ),
}


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    change_form_template = "versions/page.html"
    change_list_template = "versions/list.html"
    list_display = ["title", "badge", "error", "radiographs", "registered", "activated"]
    list_filter = ["state", "name"]
    search_fields = ["name", "version", "sha256"]
    search_help_text = "Name, version or SHA-256."

    @admin.display(description="model", ordering="name")
    def title(self, version):
        return str(version)

    @admin.display(description="state", ordering="state")
    def badge(self, version):
        tone = {VersionState.ACTIVE: "released", VersionState.CANDIDATE: "reviewed"}.get(version.state, "")
        more = ", cannot serve" if version.problem else ", shadow run" if version.shadows else ""
        return format_html(
            '<span class="badge plain {}">{}{}</span>',
            "failed" if version.problem else tone,
            version.get_state_display(),
            more,
        )

    @admin.display(description="MAE, months")
    def error(self, version):
        error = _measured(version.card).get("mae_months")
        return None if error is None else f"{error:.1f}"

    @admin.display(description="measured on")
    def radiographs(self, version):
        return _measured(version.card).get("n")

    @admin.display(description="registered", ordering="registered_at")
    def registered(self, version):
        return version.registered_at.date()

    @admin.display(description="activated", ordering="activated_at")
    def activated(self, version):
        return version.activated_at and version.activated_at.date()

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("register/", view(self.register_view), name="inference_modelversion_register"),
            path("<int:pk>/shadow-run/", view(self.shadow_run_view), name="inference_modelversion_shadow_run"),
            path("<int:pk>/do/<slug:verb>/", view(self.verb_view), name="inference_modelversion_verb"),
            *super().get_urls(),
        ]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        version = self.get_object(request, object_id)
        context = {"version": version, "badge": self.badge(version), "measured": FIGURES, **_card(version.card)}
        context["verbs"] = self._verbs(request, version)
        has_shadow_run = version.shadows or ShadowAnalysis.objects.filter(model_version=version).exists()
        context |= {"has_shadow_run": has_shadow_run, "may_compare": _may_compare(request)}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def _verbs(self, request, version):
        """(name, label) of what can be done with the version now."""
        if not self.has_operate_permission(request):
            return []
        return [(name, verb.label) for name, verb in VERBS.items() if verb.fits(version)]

    def _version(self, request, pk):
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.get_object(request, str(pk))

    def _page(self, request, template, title, **context):
        return render(request, template, {**self.admin_site.each_context(request), "title": title, **context})

    def verb_view(self, request, pk, verb):
        """Asks, and acts on a POST: activating says which version it takes the place of."""
        version, chosen = self._version(request, pk), VERBS.get(verb)
        if chosen is None:
            raise Http404("There is no such verb.")
        if not self.has_operate_permission(request):
            raise PermissionDenied("Only platform staff who may change models do this.")
        back = reverse("admin:inference_modelversion_change", args=[pk])
        serving = registry.active()
        if request.method == "POST":
            seen = {"seen": _key(request.POST.get("seen"))} if verb == "activate" else {}
            try:
                chosen.act(version, request.user, **seen)
            except WrongState as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, chosen.done.format(version))
                if verb == "activate" and serving:
                    messages.info(request, f"To go back, activate {serving} again.")
            return redirect(back)
        facts = []
        if verb == "activate":
            if serving:
                facts.append(f"{serving} serves until then, and can be activated again.")
            facts += _of_shadow_run(version) if _may_compare(request) else []
            if not version.tried_at:
                facts.append("No worker has loaded it yet: if it cannot be loaded, studies fail until you go back.")
        return self._page(
            request,
            "versions/confirm.html",
            f"{chosen.label}: {version}",
            version=version,
            verb=chosen,
            facts=facts,
            seen=serving and serving.pk,
            back=back,
        )

    def register_view(self, request):
        """The folders that hold a model, and what the comparison of all systems says."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may = self.has_operate_permission(request)
        folders = available_models()
        if request.method == "POST":
            if not may:
                raise PermissionDenied("Only platform staff who may change models register one.")
            chosen = next((each for each in folders if str(each.path) == request.POST.get("folder")), None)
            return self._register(request, chosen)
        known = {version.sha256: version for version in ModelVersion.objects.exclude(sha256="")}
        rows = [(each, None if each.problem else known.get(fingerprint(each.path))) for each in folders]
        return self._page(request, "versions/register.html", "Register a model", rows=rows, may=may, systems=_systems())

    def _register(self, request, folder):
        again = redirect("admin:inference_modelversion_register")
        if folder is None or folder.problem:
            messages.error(request, folder.problem if folder else "This folder is there no longer; choose another.")
            return again
        try:
            version = registry.register(folder.path, request.user)
        except (WrongState, OSError, ValueError) as error:
            messages.error(request, str(error))
            return again
        messages.success(
            request,
            f"{version} is registered. A worker tries it out now, this page will say what came of it; then run it in "
            "the shadow, and decide.",
        )
        return redirect("admin:inference_modelversion_change", version.pk)

    def shadow_run_view(self, request, pk):
        """The candidate's bone ages beside those that served: readings of patients, so whoever looks is on record."""
        version = self._version(request, pk)
        if not _may_compare(request):
            raise PermissionDenied
        read = ShadowAnalysis.objects.filter(model_version=version)
        hospitals = Hospital.objects.filter(pk__in=read.values("hospital"))
        record_each(Verb.VIEW, hospitals, request=request, detail=f"shadow run of {version}")
        found = compare(version)
        context = {
            "version": version,
            "found": found,
            "agreement": AGREEMENT_MONTHS,
            "verbs": self._verbs(request, version),
            "rows": f"{reverse('admin:inference_shadowanalysis_changelist')}?"
            + urlencode({"model_version__id__exact": pk}),
        }
        if found.read:
            context["plot"] = plot(found.read, found.all, found.furthest_apart)
        return self._page(request, "versions/shadow_run.html", f"Shadow run of {version}", **context)


def _may_compare(request):
    return request.user.has_perm("inference.view_shadowanalysis")


def _of_shadow_run(version):
    """Sentences on what it made of this installation's studies, for whoever is about to activate it."""
    found = compare(version).all
    if not found.n:
        return [NOT_SHADOWED]
    shares = " and ".join(
        f"{share:.0f} % within {months}" for months, share in zip(AGREEMENT_MONTHS, found.within, strict=True)
    )
    studies = f"{found.n} stud{pluralize(found.n, 'y,ies')} of this installation"
    facts = [
        f"In its shadow run it read {studies}, on average {found.bias:+.1f} months from what served: "
        f"{shares} months of it."
    ]
    signed = found.signed
    if signed.n:
        of_them = "one that is" if signed.n == 1 else f"{signed.n} that are"
        facts.append(
            f"From the {of_them} signed it was {signed.candidate:.1f} months off, what served {signed.serving:.1f}."
        )
    return facts


NOT_SHADOWED = "It has read no study of this installation yet. A shadow run shows first what it makes of them."


@admin.register(ShadowAnalysis)
class ShadowAnalysisAdmin(RunAdmin):
    """Platform staff only: no hospital sees what a candidate reads."""

    list_display = ["short_id", "badge", "reason_code", "bone_age", "model_version", "queued_at", "hospital"]
    list_filter = [
        "model_version",
        "state",
        of_days("day of the request", "queued", "queued_at"),
        "reason_code",
        "sex",
        "hospital",
    ]
    list_select_related = ["hospital", "model_version"]
    search_fields = ["id", "analysis__id"]
    search_help_text = "Key of the shadow analysis, or of the analysis that it was made beside."
    fieldsets = [*RunAdmin.fieldsets, ("History", {"fields": ["analysis"]})]


def _key(text):
    """The key of a version in a form, None where there is none; 0, which no version has, where it is no key."""
    try:
        return int(text) if text else None
    except ValueError:
        return 0


def _measured(card):
    """The first evaluation of a card, or what its training measured, or nothing."""
    return next(iter(card.get("evaluation", {}).values()), card.get("validation", {}))


def _card(card):
    """What the page of a version tells of its card."""
    evaluations = card.get("evaluation") or {name: card[name] for name in ("validation", "phantoms") if name in card}
    figures = [
        (title, [_cell(figures.get(name)) for figures in evaluations.values()])
        for title, name in FIGURES
        if any(name in figures for figures in evaluations.values())
    ]
    first = _measured(card)
    return {
        "card": card,
        "evaluations": list(evaluations),
        "figures": figures,
        "in_groups": [*first.get("by_sex", {}).items(), *first.get("by_age_band", {}).items()],
        "robustness": first.get("robustness", {}),
        "raw": json.dumps(card, indent=1),
    }


def _cell(value):
    if isinstance(value, list):
        return " to ".join(f"{bound:.2f}" for bound in value)
    return f"{value:.2f}" if isinstance(value, float) else value


def _systems():
    """The rows of docs/comparison.json, which `make compare` writes; None where it never did."""
    try:
        return json.loads(COMPARISON.read_text())["systems"]
    except (OSError, ValueError, KeyError):
        return None
