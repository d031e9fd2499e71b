"""Who enters the administration: platform staff, and hospitals' administrators for what is their hospital's."""

from django.contrib import admin
from django.http import Http404
from django.shortcuts import redirect
from django_scopes import scopes_disabled

from clinical.accounts.models import Role


def administers(request):
    """Whether the visitor is here as the administrator of the active hospital, not as platform staff."""
    membership = getattr(request, "membership", None)
    return bool(membership and membership.role == Role.HOSPITAL_ADMIN and not request.user.is_staff)


class Administration(admin.AdminSite):
    site_header = site_title = index_title = "Administration"
    site_url = None
    enable_nav_sidebar = False
    empty_value_display = "–"

    def has_permission(self, request):
        return super().has_permission(request) or (request.user.is_active and administers(request))

    def admin_view(self, view, cacheable=False):
        """Fail closed: for a hospital's administrator a model that is not theirs does not exist, whoever registered
        it, and neither do the site's own views that look rows up by their type."""
        guarded = super().admin_view(view, cacheable)
        model_admin = getattr(view, "__self__", None)

        def inner(request, *args, **kwargs):
            if administers(request):
                if isinstance(model_admin, admin.ModelAdmin) and not model_admin.has_module_permission(request):
                    raise Http404("This list is the platform's.")
                if "content_type_id" in kwargs:
                    raise Http404("Rows are found in their lists.")
            if not request.user.is_staff:
                return guarded(request, *args, **kwargs)
            # What waited for a confirmation is carried out under that page's path, where nothing lifted the scope.
            with scopes_disabled():
                response = guarded(request, *args, **kwargs)
                return response.render() if hasattr(response, "render") else response

        return inner

    def password_change(self, request, extra_context=None):
        return redirect("account_change_password")

    def logout(self, request, extra_context=None):
        return redirect("account_logout")
