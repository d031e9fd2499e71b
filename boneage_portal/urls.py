from allauth.account.decorators import secure_admin_login
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.contrib import admin
from django.urls import include, path

from boneage_portal import views
from clinical.accounts import security, single_sign_on

admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz/", views.health, name="health"),
    path(".well-known/security.txt", views.security_txt, name="security_txt"),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/oidc/<slug:provider_id>/login/", single_sign_on.begin, name="openid_connect_login"),
    path("accounts/oidc/<slug:provider_id>/login/callback/", openid_connect.callback, name="openid_connect_callback"),
    path("accounts/2fa/", security.overview, name="mfa_index"),
    path("accounts/2fa/webauthn/reauthenticate/", security.confirm_by_passkey, name="mfa_reauthenticate_webauthn"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("accounts/sessions/", include("allauth.usersessions.urls")),
    path("", include("boneage_portal.dashboards.urls")),  # before the administration, whose last route takes the rest
    path("admin/", admin.site.urls),
    path("api/", include("boneage_portal.api")),
    path("", include("clinical.accounts.urls")),
    path("", include("clinical.notices.urls")),
    path("", include("clinical.patients.urls")),
    path("", include("clinical.studies.urls")),
    path("", include("clinical.dicom.urls")),
    path("", include("reports.urls")),
    path("", include("clinical.charts.urls")),
]
