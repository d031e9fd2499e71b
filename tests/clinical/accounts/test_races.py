"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest
from django_scopes import scopes_disabled

from clinical.accounts import invitations, membership
from clinical.accounts.models import Membership, User
from clinical.audit.models import AccessEvent
from tests.crowd import CROWD, at_once
from tests.factories import PASSWORD, HospitalFactory, InvitationFactory, MembershipFactory

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


def test_an_invitation_is_accepted_or_withdrawn_at_the_same_moment_never_both():
    administrator = MembershipFactory(role="hospital_admin")
    invitation = InvitationFactory(hospital=administrator.hospital)

    def act(number):
        if number % 2:
            return invitations.withdraw(invitation, administrator.user)
        return invitations.accept(invitation, name="Dora", password=PASSWORD)

    came = at_once(act)
    joined = invitation.holders().exclude(pk=administrator.pk).count()
    assert joined == sum(isinstance(each, User) for each in came)
    assert joined + came.count(True) == 1
    assert came.count(False) + sum(isinstance(each, invitations.InvitationClosed) for each in came) == CROWD - 1
    with scopes_disabled():
        assert AccessEvent.objects.filter(verb="withdraw invitation").count() == came.count(True)
