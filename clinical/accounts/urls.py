from django.urls import path

from clinical.accounts import access_tokens, security, views

app_name = "accounts"
urlpatterns = [
    path("hospital/", views.choose_hospital, name="choose_hospital"),
    path("members/", views.members, name="members"),
    path("members/invite/", views.invite, name="invite"),
    path("members/<int:pk>/role/", views.change_role, name="change_role"),
    path("members/<int:pk>/remove/", views.remove_member, name="remove_member"),
    path("members/invitations/<int:pk>/withdraw/", views.withdraw_invitation, name="withdraw_invitation"),
    path("api/", access_tokens.own, name="access_tokens"),
    path("members/api/", access_tokens.of_hospital, name="hospital_access_tokens"),
    path("api/tokens/<slug:key>/revoke/", access_tokens.revoke_one, name="revoke_access_token"),
    path("session/", security.session, name="session"),
    path("accounts/sessions/<int:pk>/end/", security.end_session, name="end_session"),
    path("accounts/2fa/set-up/", security.set_up_second_factor, name="set_up_second_factor"),
    path("accounts/identity/disconnect/", security.disconnect_identity, name="disconnect_identity"),
    path(
        "accounts/2fa/recovery-codes/acknowledge/",
        security.acknowledge_recovery_codes,
        name="acknowledge_recovery_codes",
    ),
    path("invitation/<slug:token>/", views.accept_invitation, name="accept_invitation"),
]
