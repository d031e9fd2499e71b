from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from clinical.accounts.models import Role


@require_GET
def home(request):
    """Everybody lands where their work is."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    if request.membership:
        is_admin = request.membership.role == Role.HOSPITAL_ADMIN
        return redirect("accounts:members" if is_admin else "studies:worklist")
    if request.is_family:
        return redirect("patients:family")
    if request.user.is_staff:
        return redirect("admin:index")
    return render(request, "portal/no_access.html", status=403)


@require_GET
def health(request):
    """For load balancers: the web process answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")


@require_GET
def security_txt(request):
    """Whom to tell of a hole (RFC 9116). An installation that names nobody has no such page."""
    if not settings.SECURITY_CONTACT:
        raise Http404("SECURITY_CONTACT is not set.")
    expires = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=180)
    lines = {
        "Contact": settings.SECURITY_CONTACT,
        "Expires": expires.isoformat(),
        "Preferred-Languages": "en",
        "Canonical": settings.PORTAL_URL + request.path,
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
