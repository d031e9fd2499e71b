from django.urls import path

from reports import views

app_name = "reports"
urlpatterns = [
    path("studies/<uuid:pk>/reports/", views.of_study, name="of_study"),
    path("studies/<uuid:pk>/draft/", views.draft, name="draft"),
    path("reports/<uuid:pk>/", views.pdf, name="pdf"),
    path("reports/<uuid:pk>/structured-report/", views.structured_report, name="structured_report"),
    path("reports/<uuid:pk>/encapsulated-pdf/", views.encapsulated_pdf, name="encapsulated_pdf"),
    path("reports/<uuid:pk>/retry/", views.retry, name="retry"),
    path("reports/dispatches/<int:pk>/send/", views.send_again, name="send_again"),
    path("family/reports/<uuid:pk>/", views.family_pdf, name="family_pdf"),
    path("verify/", views.verify, name="verify"),
]
