from django.urls import path

from clinical.patients import family_views, measurements, views

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
    path("family/", family_views.family, name="family"),
    path("family/<uuid:pk>/", family_views.child, name="child"),
    path("family/invitation/<slug:token>/", family_views.accept_invitation, name="accept_family_invitation"),
]
