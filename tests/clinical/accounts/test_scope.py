import re

import pytest
from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse
from django_scopes import scope
from django_scopes.exceptions import ScopeError

from boneage_portal import celery_app
from clinical.accounts.scope import HospitalScopeMiddleware, TenantTask, every_hospital, tenant_task
from clinical.audit.models import AccessEvent
from clinical.dicom.models import Arrival, Sender
from clinical.patients.models import Patient
from clinical.studies.models import Radiograph, Study
from inference.models import Analysis
from tests.factories import GuardianshipFactory, MembershipFactory, PatientFactory, UserFactory

TENANT_OWNED = [AccessEvent, Analysis, Arrival, Patient, Radiograph, Sender, Study]


@pytest.mark.parametrize("model", TENANT_OWNED)
def test_a_query_outside_of_a_scope_raises(db, model):
    with pytest.raises(ScopeError):
        model.objects.count()


@pytest.mark.parametrize("model", TENANT_OWNED)
def test_a_query_inside_of_a_scope_sees_that_hospital_only(hospital, other_hospital, model):
    with scope(hospital=hospital):
        assert f'"hospital_id" = {hospital.pk}' in str(model.objects.all().query)


@pytest.fixture
def two_patients(hospital, other_hospital):
    return PatientFactory(hospital=hospital, mrn="HERE"), PatientFactory(hospital=other_hospital, mrn="THERE")


def seen():
    return set(Patient.objects.values_list("mrn", flat=True))


@pytest.fixture
def seen_by(rf, two_patients):
    """The MRNs that a view reads on behalf of a user, and the request it was given."""

    def visit(user, path="/", **session):
        request = rf.get(path)
        request.user, request.session = user, session
        found = []

        def view(request):
            found.append(seen())
            return HttpResponse()

        HospitalScopeMiddleware(view)(request)
        return found[0], request

    return visit


def test_a_member_sees_the_hospital_they_work_in(seen_by, alice, hospital):
    mrns, request = seen_by(alice)
    assert mrns == {"HERE"}
    assert request.hospital == hospital
    assert request.membership.role == "doctor"
    assert not request.is_family


def test_a_member_of_two_hospitals_starts_in_the_one_joined_first(seen_by, alice, other_hospital):
    assert other_hospital.name < alice.memberships.get().hospital.name
    MembershipFactory(user=alice, hospital=other_hospital)
    mrns, _ = seen_by(alice)
    assert mrns == {"HERE"}


def test_a_member_of_two_hospitals_sees_the_chosen_one(seen_by, alice, hospital, other_hospital):
    second = MembershipFactory(user=alice, hospital=other_hospital, role="technician")
    mrns, request = seen_by(alice, active_membership=second.pk)
    assert mrns == {"THERE"}
    assert request.membership == second
    assert {membership.hospital for membership in request.memberships} == {hospital, other_hospital}


def test_a_chosen_membership_of_somebody_else_counts_for_nothing(seen_by, alice, bob):
    mrns, _ = seen_by(alice, active_membership=bob.memberships.get().pk)
    assert mrns == {"HERE"}


def test_family_is_in_the_scope_of_the_hospitals_of_its_children(seen_by, two_patients):
    mother = UserFactory()
    for patient in two_patients:
        GuardianshipFactory(user=mother, patient=patient)
    mrns, request = seen_by(mother)
    assert mrns == {"HERE", "THERE"}
    assert request.is_family
    assert request.hospital is None
    assert request.membership is None


def test_a_member_with_a_child_in_another_hospital_sees_it_on_the_familys_pages_only(seen_by, alice, two_patients):
    GuardianshipFactory(user=alice, patient=two_patients[1])
    assert seen_by(alice, path="/family/")[0] == {"THERE"}
    assert seen_by(alice, path="/patients/")[0] == {"HERE"}


def test_somebody_who_belongs_nowhere_is_in_no_scope(seen_by, charlie):
    with pytest.raises(ScopeError):
        seen_by(charlie)


def test_platform_staff_is_outside_of_any_scope_in_the_administration_only(seen_by, db):
    staff = UserFactory(is_staff=True)
    mrns, _ = seen_by(staff, path="/admin/patients/patient/")
    assert mrns == {"HERE", "THERE"}
    with pytest.raises(ScopeError):
        seen_by(staff, path="/patients/")


def test_a_member_gains_nothing_from_the_path_of_the_administration(seen_by, alice):
    mrns, _ = seen_by(alice, path="/admin/patients/patient/")
    assert mrns == {"HERE"}


def test_the_scope_ends_with_the_request(seen_by, alice):
    seen_by(alice)
    with pytest.raises(ScopeError):
        seen()


@tenant_task
def look():
    return seen()


@tenant_task(bind=True)
def stumble(self, tries):
    tries.append(seen())
    raise OperationalError("database is locked")


def test_a_task_runs_in_the_scope_of_the_hospital_in_its_arguments(two_patients, hospital, other_hospital):
    assert look.apply(kwargs={"hospital_id": hospital.pk}).get() == {"HERE"}
    assert look(hospital_id=other_hospital.pk) == {"THERE"}


def test_a_task_without_a_hospital_is_in_no_scope(two_patients):
    with pytest.raises(ScopeError):
        look()


def test_a_task_can_be_sent_with_its_hospital():
    with celery_app.connection_for_write("memory://") as connection:
        look.apply_async(kwargs={"hospital_id": 7}, connection=connection, queue="to-be-read")
        [_, kwargs, _] = connection.SimpleQueue("to-be-read").get(timeout=5).payload
    assert kwargs == {"hospital_id": 7}


def test_a_task_that_met_a_busy_database_is_tried_again_in_its_scope_and_not_for_ever(two_patients, hospital):
    tries = []
    result = stumble.apply(kwargs={"tries": tries, "hospital_id": hospital.pk})
    assert isinstance(result.result, OperationalError)
    assert tries == [{"HERE"}] * 4


def test_every_task_of_the_portal_is_a_tenant_task():
    celery_app.loader.import_default_modules()
    tasks = [task for name, task in celery_app.tasks.items() if not name.startswith("celery.")]
    assert "inference.tasks.analyse" in celery_app.tasks
    for task in tasks:
        assert isinstance(task, TenantTask)
        assert task.acks_late
        assert task.reject_on_worker_lost
        assert task.retry_on_worker_lost  # else without end


# Beside the scopes of requests, tasks and sweeps.
ELSEWHERE = {
    "clinical/accounts/invitations.py",  # the hospital of the link that was opened
    "clinical/accounts/single_sign_on.py",  # whoever signs in, and is nobody yet
    "clinical/administration/site.py",  # platform staff
    "clinical/audit/chain.py",  # every chain, the platform's included
    "clinical/audit/management/commands/verify_audit.py",
    "clinical/audit/record.py",  # what belongs to no hospital
    "clinical/audit/sign_ins.py",  # the hospitals of who signs in, and is nobody yet
    "clinical/audit/tasks.py",
    "clinical/csv_file.py",  # that of a request which has ended when its lines are asked for
    "clinical/dicom/receiver.py",  # that of whoever sends
    "clinical/notices/tasks.py",  # whose mails are sent
    "boneage_portal/demo.py",
}


def test_nobody_else_enters_a_scope_or_leaves_it():
    entrance = re.compile(
        r"^from django_scopes import .*\b(scope|scopes_disabled)\b|with_scopes_disabled", re.MULTILINE
    )
    packages = ("boneage_portal", "clinical", "inference", "reports")
    files = [file for package in packages for file in (settings.BASE_DIR / package).rglob("*.py")]
    found = {str(file.relative_to(settings.BASE_DIR)) for file in files if entrance.search(file.read_text())}
    assert found == ELSEWHERE | {"clinical/accounts/scope.py"}


def test_a_sweep_sees_every_hospital(two_patients):
    with every_hospital():
        assert seen() == {"HERE", "THERE"}
