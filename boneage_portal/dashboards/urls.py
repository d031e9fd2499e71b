from django.urls import path

from boneage_portal.dashboards import views

# The names below board are Dash's. Its endpoint for callbacks is left out: the dashboards have none.
app_name = "dashboards"
urlpatterns = [
    path("admin/dashboards/", views.index, name="index"),
    path("admin/dashboards/<slug:name>/", views.board, name="board"),
    path("admin/dashboards/<slug:name>/_dash-layout", views.layout, name="layout"),
    path("admin/dashboards/<slug:name>/_dash-dependencies", views.dependencies, name="dependencies"),
    path("admin/dashboards/<slug:name>/_dash-component-suites/<path:path>", views.script, name="script"),
]
