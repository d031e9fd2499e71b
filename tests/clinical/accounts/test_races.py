"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest
from django_scopes import scopes_disabled

from clinical.accounts import membership
from clinical.accounts.models import Membership
from clinical.audit.models import AccessEvent
from tests.crowd import CROWD, at_once
from tests.factories import HospitalFactory, MembershipFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


def test_of_administrators_who_all_leave_at_once_one_stays():
    hospital = HospitalFactory()
    administrators = MembershipFactory.create_batch(CROWD, hospital=hospital, role="hospital_admin")
    came = at_once(lambda number: membership.remove(administrators[number], administrators[-number].user))
    assert sorted(map(str, came)) == ["None"] * (CROWD - 1) + [str(membership.LastAdministrator())]
    assert hospital.memberships.count() == 1


def test_who_is_removed_by_many_at_once_is_removed_once():
    doctor = MembershipFactory()
    MembershipFactory(hospital=doctor.hospital, role="hospital_admin")

    def remove(number):
        membership.remove(Membership.objects.get(pk=doctor.pk), doctor.user)

    came = at_once(remove)
    assert came.count(None) == 1
    assert {type(each) for each in came} <= {type(None), membership.NoMember, Membership.DoesNotExist}
    with scopes_disabled():
        assert AccessEvent.objects.filter(verb="remove member").count() == 1
