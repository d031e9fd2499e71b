from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from clinical.accounts import access_tokens
from clinical.accounts.scope import every_hospital, tenant_task


@tenant_task
def clear_sessions():
    """Once a day: forget sessions that have ended, and from where people were signed in."""
    SessionStore.clear_expired()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()


@tenant_task
def tell_of_tokens_that_end():
    """Once a day: see `access_tokens.tell_of_ends`."""
    with every_hospital():
        access_tokens.tell_of_ends()
