from django.urls import path

from clinical.studies import bulk, deidentified, export, occlusion, refiling, upload, views

app_name = "studies"
urlpatterns = [
    path("patients/<uuid:pk>/upload/", upload.upload, name="upload"),
    path("studies/", views.worklist, name="worklist"),
    path("studies/export/", export.export, name="export"),
    path("studies/upload/", bulk.bulk_upload, name="bulk_upload"),
    path("studies/<uuid:pk>/", views.detail, name="detail"),
    path("studies/<uuid:pk>/status/", views.status, name="status"),
    path("studies/<uuid:pk>/outcome/", upload.outcome, name="outcome"),
    path("studies/<uuid:pk>/correct/", views.correct, name="correct"),
    path("studies/<uuid:pk>/urgency/", views.urgency, name="urgency"),
    path("studies/<uuid:pk>/retry/", views.retry, name="retry"),
    path("studies/<uuid:pk>/reanalyse/", views.reanalyse, name="reanalyse"),
    path("studies/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("studies/<uuid:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("studies/<uuid:pk>/refile/", refiling.refile, name="refile"),
    path("studies/<uuid:pk>/review/", views.review, name="review"),
    path("studies/<uuid:pk>/sign/", views.sign, name="sign"),
    path("studies/<uuid:pk>/release/", views.release, name="release"),
    path("studies/<uuid:pk>/amend/", views.amend, name="amend"),
    path("studies/<uuid:pk>/image/", views.image, name="image"),
    path("studies/<uuid:pk>/heat-map/", views.heat_map, name="heat_map"),
    path("studies/<uuid:pk>/occlusion/", occlusion.occlusion, name="occlusion"),
    path("studies/<uuid:pk>/occlusion-map/", occlusion.occlusion_map, name="occlusion_map"),
    path("studies/<uuid:pk>/original/", views.original, name="original"),
    path("studies/<uuid:pk>/de-identified/", deidentified.deidentified, name="deidentified"),
]
