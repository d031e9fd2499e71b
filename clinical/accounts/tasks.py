from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from clinical.accounts.scope import tenant_task


@tenant_task
def clear_sessions():
    """Once a day: forget sessions that have ended, and from where people were signed in."""
    SessionStore.clear_expired()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
