"""Where a hospital's scope is entered: once for every request, once for every task, once for commands.

Tenant-owned models carry django-scopes managers, so a query outside of a scope raises instead of leaking. With
`accounts.row_security` PostgreSQL keeps to the same scope, and to its dimension `user` (a function that returns the
key of who asks): the rows that are a person's own are read before there is a hospital.
"""

from contextlib import nullcontext
from functools import partial

from celery import Task, shared_task
from django.db import OperationalError
from django.urls import reverse
from django_scopes import scope, scopes_disabled

from clinical.accounts.models import Hospital

ACTIVE_MEMBERSHIP = "active_membership"


class HospitalScopeMiddleware:
    """Sets `request.memberships`, `.membership`, `.hospital`, `.is_family` and enters the matching scope.

    Staff of hospitals see the hospital they chose (the first they joined, until they choose), a program the one of its
    access token. Family members see the
    hospitals of their children, and so do staff on the family's pages: they may be parents, too. Everybody else,
    the anonymous included, is in no scope. Platform staff are outside of any scope in the administration only.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with scope(user=lambda: request.user.pk):
            return self.in_hospital(request)

    def in_hospital(self, request):
        user = request.user
        request.memberships = list(user.memberships.select_related("hospital")) if user.is_authenticated else []
        token = getattr(request, "access_token", None)
        chosen = token.membership_id if token else request.session.get(ACTIVE_MEMBERSHIP)
        request.membership = next(
            (membership for membership in request.memberships if membership.pk == chosen),
            None if token else min(request.memberships, key=lambda membership: membership.pk, default=None),
        )
        request.hospital = request.membership and request.membership.hospital
        of_children = []
        if user.is_authenticated:
            of_children = list(Hospital.objects.filter(guardianships__user=user).distinct())
        request.is_family = bool(of_children)
        with self.scope_of(request, of_children):
            return self.get_response(request)

    def scope_of(self, request, of_children):
        if request.user.is_staff and request.path.startswith(reverse("admin:index")):
            return scopes_disabled()
        is_family_page = request.path.startswith(reverse("patients:family"))
        hospitals = [request.hospital] if request.hospital and not is_family_page else of_children
        # An empty scope would answer "no rows"; none at all makes a misplaced query raise.
        return scope(hospital=hospitals) if hospitals else nullcontext()


def every_hospital():
    """The scope of platform-wide commands and sweeps, and of whoever holds a secret: a link, a report's check code."""
    return scope(hospital=list(Hospital.objects.all()))


class TenantTask(Task):
    """The base of every task. With the keyword argument `hospital_id` it runs in that hospital's scope.

    Delivery is at least once (acknowledged late, sent again when its process is lost), so a task must be safe to
    run twice. Arguments are primary keys. Only a busy database and a lost process are tried again, `max_retries` times:
    a task that costs every process its life, by its memory, would else come before all others for ever.
    """

    abstract = True
    typing = False  # Celery would refuse `hospital_id`, which `__call__` takes and the function does not.
    acks_late = True
    reject_on_worker_lost = True
    retry_on_worker_lost = True
    autoretry_for = (OperationalError,)
    max_retries = 3
    retry_backoff = True

    def __call__(self, *args, **kwargs):
        hospital_id = kwargs.pop("hospital_id", None)
        with scope(hospital=[hospital_id]) if hospital_id else nullcontext():
            return self.run(*args, **kwargs)


tenant_task = partial(shared_task, base=TenantTask)
