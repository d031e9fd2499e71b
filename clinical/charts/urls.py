from django.urls import path

from clinical.charts import views

# The names below page are Dash's. Its endpoint for callbacks is left out: the charts have none.
app_name = "charts"
urlpatterns = [
    path("patients/<uuid:pk>/charts/", views.page, name="page"),
    path("patients/<uuid:pk>/charts/_dash-layout", views.layout, name="layout"),
    path("patients/<uuid:pk>/charts/_dash-dependencies", views.dependencies, name="dependencies"),
    path("patients/<uuid:pk>/charts/_dash-component-suites/<path:path>", views.script, name="script"),
]
