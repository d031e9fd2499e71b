from django.urls import path

from clinical.patients import accesses, family_views, measurements, privacy, views

app_name = "patients"
urlpatterns = [
    path("patients/", views.patient_list, name="list"),
    path("patients/new/", views.create, name="create"),
    path("patients/<uuid:pk>/", views.detail, name="detail"),
    path("patients/<uuid:pk>/edit/", views.edit, name="edit"),
    path("patients/<uuid:pk>/archive/", views.archive, name="archive"),
    path("patients/<uuid:pk>/restore/", views.restore, name="restore"),
    path("patients/<uuid:pk>/measurements/new/", measurements.add, name="add_measurement"),
    path("measurements/<uuid:pk>/edit/", measurements.edit, name="edit_measurement"),
    path("measurements/<uuid:pk>/remove/", measurements.remove, name="remove_measurement"),
    path("measurements/removed/<int:pk>/put-back/", measurements.put_back, name="put_back_measurement"),
    path("patients/<uuid:pk>/family/invite/", family_views.invite, name="invite_family"),
    path("patients/family/<int:pk>/revoke/", family_views.revoke, name="revoke_family"),
    path(
        "patients/family/invitations/<int:pk>/withdraw/",
        family_views.withdraw_invitation,
        name="withdraw_family_invitation",
    ),
    path("audit/", accesses.of_hospital, name="hospital_accesses"),
    path("audit/export/", accesses.of_hospital_csv, name="hospital_accesses_csv"),
    path("patients/<uuid:pk>/accesses/", accesses.of_patient, name="accesses"),
    path("patients/<uuid:pk>/accesses/export/", accesses.of_patient_csv, name="accesses_csv"),
    path("privacy/", privacy.overview, name="privacy_overview"),
    path("patients/<uuid:pk>/privacy/", privacy.of_patient, name="privacy"),
    path("patients/<uuid:pk>/privacy/export/", privacy.export, name="export"),
    path("patients/<uuid:pk>/privacy/erase/", privacy.erase, name="erase"),
    path("patients/exports/<uuid:pk>/", privacy.export_status, name="export_status"),
    path("patients/exports/<uuid:pk>/download/", privacy.download, name="download_export"),
    path("patients/erasures/<uuid:pk>/cancel/", privacy.cancel_erasure, name="cancel_erasure"),
    path("family/", family_views.family, name="family"),
    path("family/<uuid:pk>/", family_views.child, name="child"),
    path("family/<uuid:pk>/leave/", family_views.leave, name="leave_family"),
    path("family/<uuid:pk>/accesses/", accesses.of_child, name="child_accesses"),
    path("family/invitation/<slug:token>/", family_views.accept_invitation, name="accept_family_invitation"),
]
