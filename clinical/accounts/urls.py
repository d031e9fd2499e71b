from django.urls import path

from clinical.accounts import views

app_name = "accounts"
urlpatterns = [
    path("hospital/", views.choose_hospital, name="choose_hospital"),
    path("members/", views.members, name="members"),
    path("members/invite/", views.invite, name="invite"),
    path("members/<int:pk>/role/", views.change_role, name="change_role"),
    path("members/<int:pk>/remove/", views.remove_member, name="remove_member"),
    path("members/invitations/<int:pk>/withdraw/", views.withdraw_invitation, name="withdraw_invitation"),
    path("invitation/<slug:token>/", views.accept_invitation, name="accept_invitation"),
]
