from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from boneage_portal import views

admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz/", views.health, name="health"),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    path("", include("clinical.accounts.urls")),
    path("", include("clinical.notices.urls")),
    path("", include("clinical.patients.urls")),
    path("", include("clinical.studies.urls")),
    path("", include("reports.urls")),
    path("", include("clinical.charts.urls")),
]
