import re

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts.permissions import user_required
from clinical.accounts.scope import ACTIVE_MEMBERSHIP
from clinical.audit.record import Verb, record_each
from clinical.notices.forms import PreferencesForm, kinds_for

PAGE_SIZE = 25


@user_required
@require_GET
def notifications(request):
    rows = request.user.notifications.select_related("hospital")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    _name_the_children(request, page)
    return render(request, "notices/list.html", {"page_obj": page})


def _name_the_children(request, page):
    """Set `about` of each row that tells the family of a report. Looked up: no row, and so no mail, names a patient."""
    keys = {row.pk: found[1] for row in page if (found := re.search(r"^/family/.*#study-([0-9a-f-]{36})$", row.url))}
    if not keys:
        return
    children = request.user.guardianships.filter(patient__studies__in=set(keys.values())).select_related("patient")
    children = children.annotate(study=F("patient__studies"), acquired_on=F("patient__studies__acquired_on"))
    about = {str(child.study): child for child in children}
    for row in page:
        row.about = about.get(keys.get(row.pk))
    record_each(Verb.VIEW, {child.patient for child in about.values()}, request=request, detail="notifications")


def _own(request, pk):
    return get_object_or_404(request.user.notifications, pk=pk)


def _mark_read(request, pk):
    request.user.notifications.filter(pk=pk).mark_read()


@user_required
@require_POST
def follow(request, pk):
    """Go where a notification leads, into the hospital that sent it."""
    notification = _own(request, pk)
    _mark_read(request, pk)
    for membership in request.memberships:
        if membership.hospital_id == notification.hospital_id:
            request.session[ACTIVE_MEMBERSHIP] = membership.pk
    return redirect(notification.url)


@user_required
@require_POST
def mark_read(request, pk):
    _mark_read(request, _own(request, pk).pk)
    return redirect("notices:list")


@user_required
@require_POST
def mark_all_read(request):
    request.user.notifications.all().mark_read()
    return redirect("notices:list")


@user_required
@require_http_methods(["GET", "POST"])
def preferences(request):
    data = request.POST if request.method == "POST" else None
    form = PreferencesForm(data, user=request.user, kinds=kinds_for(request.memberships, request.is_family))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your choice is kept.")
        return redirect("notices:preferences")
    return render(request, "notices/preferences.html", {"form": form}, status=422 if form.errors else 200)
