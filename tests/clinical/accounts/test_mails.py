"""What the portal mails about an account is in its own words."""

from pathlib import Path

import allauth
import pytest
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.template.loader import get_template

from tests.one_time_codes import code_of

OF_ALLAUTH = Path(allauth.__file__).parent / "templates"
# Nobody signs up, and links are mailed, not codes.
NEVER_SENT = ("account_already_exists", "email_confirmation_signup", "login_code", "password_reset_code")


@pytest.mark.parametrize(
    "name",
    [
        f"{app}/email/{path.name}"
        for app in ("account", "mfa", "socialaccount")
        for path in sorted((OF_ALLAUTH / app / "email").iterdir())
        if not path.name.startswith(NEVER_SENT)
    ],
)
def test_every_part_of_a_mail_is_the_portals(name):
    assert settings.BASE_DIR / "templates" in Path(get_template(name).origin.name).parents


@pytest.mark.usefixtures("clock")
@pytest.mark.django_db(transaction=True)  # the mails go once it is done, while the request is
def test_who_changes_their_second_factor_is_told_what_changed(client, sign_in, alice):
    cache.clear()
    sign_in(alice)
    key = client.get("/accounts/2fa/totp/activate/").context["form"].secret
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(key)})
    client.post("/accounts/2fa/recovery-codes/generate/")
    client.post("/accounts/2fa/totp/deactivate/")
    assert [message.subject for message in mail.outbox] == [
        "[Bone Age Portal] Your authenticator app is on",
        "[Bone Age Portal] You have new recovery codes",
        "[Bone Age Portal] Your authenticator app is off",
    ]
    for message in mail.outbox:
        assert "If that was not you, tell your hospital's administrator at once." in message.body
