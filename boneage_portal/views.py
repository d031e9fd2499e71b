from django.db import connection
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
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
@never_cache
def health(request):
    """For load balancers: the web process answers and reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")
