from django.urls import path

from clinical.notices import views

app_name = "notices"
urlpatterns = [
    path("notices/", views.notifications, name="list"),
    path("notices/read/", views.mark_all_read, name="mark_all_read"),
    path("notices/<int:pk>/", views.follow, name="follow"),
    path("notices/<int:pk>/read/", views.mark_read, name="mark_read"),
    path("notices/mail/", views.preferences, name="preferences"),
]
