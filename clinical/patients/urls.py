from django.urls import path

from clinical.patients import views

app_name = "patients"
urlpatterns = [
    path("patients/", views.patient_list, name="list"),
    path("patients/new/", views.create, name="create"),
    path("patients/<uuid:pk>/", views.detail, name="detail"),
    path("patients/<uuid:pk>/edit/", views.edit, name="edit"),
    path("patients/<uuid:pk>/archive/", views.archive, name="archive"),
    path("patients/<uuid:pk>/restore/", views.restore, name="restore"),
    path("family/", views.family, name="family"),
]
