"""The API: its addresses, and its description for people and for generators of clients. See `clinical.accounts.api`."""

from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.http import require_GET
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from clinical.accounts.permissions import member_required
from clinical.patients.api import PatientViewSet
from clinical.studies.api import StudyViewSet
from reports.api import ReportViewSet


class NoSuchAddress(APIView):
    """Told as everything else is: in JSON, and to whom the API is for."""

    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such address. The API's description lists them all.")


@member_required
@require_GET
def reference(request):
    return render(request, "accounts/api_reference.html")


router = SimpleRouter(use_regex_path=False)
router.register("patients", PatientViewSet, "patients")
router.register("studies", StudyViewSet, "studies")
router.register("reports", ReportViewSet, "reports")

app_name = "api"
description = SpectacularJSONAPIView.as_view(authentication_classes=[], permission_classes=[AllowAny])
urlpatterns = [
    path("reference/", reference, name="reference"),
    path("openapi.json", member_required(description), name="description"),
    path("v1/", include(router.urls)),
    path("v1/<path:rest>", NoSuchAddress.as_view(), name="no_such_address"),
]
