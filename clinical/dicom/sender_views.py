"""The senders of a hospital, which its administrators keep."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from clinical.accounts import opened_in
from clinical.accounts.permissions import confirmed, hospital_admin_required
from clinical.audit.record import Verb, record
from clinical.dicom.forms import SenderForm
from clinical.dicom.models import Sender, title_of

PAGE_SIZE = 50


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def senders(request):
    return _edit(request, Sender(hospital=request.hospital))


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def edit(request, pk):
    return _edit(request, _sender(request, pk))


def _sender(request, pk):
    return get_object_or_404(Sender.objects.select_related("hospital"), pk=pk, hospital=request.hospital)


def _edit(request, sender):
    is_new = sender.pk is None
    form = SenderForm(request.POST if request.method == "POST" else None, instance=sender)
    opened_in.check(request, form)
    if form.is_valid():
        with transaction.atomic():
            form.save()
            if is_new:  # changes and removals are on record by `audit.changes`
                record(Verb.CREATE, sender, request=request)
        messages.success(request, f"Films from {sender} are taken.")
        return redirect("dicom:senders")
    known = Sender.objects.filter(hospital=request.hospital).select_related("membership__user")
    context = {
        "form": form,
        "sender": None if is_new else sender,
        "page_obj": Paginator(known, PAGE_SIZE).get_page(request.GET.get("page")),
        "title": title_of(request.hospital.pk),
        "host": urlsplit(settings.PORTAL_URL).hostname,
        "port": settings.DICOM_PORT,
        "encrypted": bool(settings.DICOM_TLS_CERTIFICATE),
    }
    return render(request, "dicom/senders.html", context, status=opened_in.refusal(form) if form.errors else 200)


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def remove(request, pk):
    sender = _sender(request, pk)
    if request.method == "GET":
        context = {
            "title": f"Take no more films from {sender}?",
            "message": "What it sends is turned away from now on. Films that it has sent stay.",
            "verb": "Remove the sender",
            "back": reverse("dicom:senders"),
        }
        return render(request, "portal/confirm.html", context)
    sender.delete()
    messages.success(request, f"{sender} was removed.")
    return redirect("dicom:senders")
