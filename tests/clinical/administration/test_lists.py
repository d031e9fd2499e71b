"""The administration for platform staff, and it looks at what the workflow owns without writing it."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from clinical.accounts import access_tokens
from clinical.audit.record import Verb, record
from inference.models import ModelVersion, ShadowAnalysis
from tests.factories import (
    PASSWORD,
    ArrivalFactory,
    DispatchFactory,
    FamilyInvitationFactory,
    GuardianshipFactory,
    InvitationFactory,
    NotificationFactory,
    ReportFactory,
    StudyFactory,
    UserFactory,
)

MODELS = {model._meta.label_lower: model for model in admin.site._registry}
READ_ONLY = {
    "accounts.accesstoken",
    "accounts.invitation",
    "audit.accessevent",
    "dicom.arrival",
    "dicom.sender",
    "inference.analysis",
    "inference.modelversion",
    "inference.shadowanalysis",
    "notices.notification",
    "patients.familyinvitation",
    "patients.patient",
    "reports.dispatch",
    "reports.report",
    "studies.study",
}


@pytest.fixture
def one_of_each(patient, alice, hospital):
    InvitationFactory(hospital=hospital)
    access_tokens.make(alice.memberships.get(), "PACS gateway", "read", 30)
    GuardianshipFactory(patient=patient)
    FamilyInvitationFactory(patient=patient)
    NotificationFactory(user=alice, hospital=hospital)
    record(Verb.VIEW, patient, actor=alice)
    version = ModelVersion.objects.create(name="two_stage_compact", version="1")
    study = StudyFactory(patient=patient, submitted_by=alice)
    DispatchFactory(report=ReportFactory(study=study))
    ArrivalFactory(sender__membership=alice.memberships.get())
    analysis = study.analysis
    ShadowAnalysis.objects.create(
        analysis=analysis, model_version=version, hospital=hospital, radiograph=analysis.radiograph, sex=analysis.sex
    )


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("label", MODELS)
def test_every_list_can_be_opened_and_searched(as_user, root, one_of_each, label):
    client, model = as_user(root), MODELS[label]
    assert client.get(page(model, "changelist")).status_code == 200
    assert client.get(page(model, "changelist"), {"q": "doe"}).status_code == 200


@pytest.mark.parametrize("query", [{"role__exact": "\0"}, {"created_at__year": "9" * 20}, {"created_at__year": "x"}])
def test_a_filter_that_makes_no_sense_is_left_out(as_user, root, query):
    response = as_user(root).get("/admin/accounts/invitation/", query, follow=True)
    assert (response.status_code, response.redirect_chain) == (200, [("/admin/accounts/invitation/?e=1", 302)])


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("label", MODELS)
def test_every_row_can_be_opened(as_user, root, one_of_each, label):
    model = MODELS[label]
    for row in model._base_manager.all():
        assert as_user(root).get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("label", MODELS)
def test_what_the_workflow_owns_cannot_be_added(as_user, root, label):
    expected = 403 if label in READ_ONLY | {"accounts.membership"} else 200  # members come by invitation
    assert as_user(root).get(page(MODELS[label], "add")).status_code == expected


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("label", sorted(READ_ONLY))
def test_what_the_workflow_owns_cannot_be_changed_or_deleted(as_user, root, one_of_each, label):
    client, model = as_user(root), MODELS[label]
    row = model._base_manager.first()
    assert client.post(page(model, "change", row.pk), {}).status_code == 403
    assert client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model._base_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("person", ["alice", "tess", "mother", "charlie"])
def test_nobody_who_administers_nothing_comes_in(request, as_user, person):
    page = as_user(request.getfixturevalue(person)).get("/admin/", follow=True)
    assert page.status_code == 403


def test_staff_signs_in_at_the_portals_own_page(client, root):
    asked = client.get("/admin/", follow=True)
    assert asked.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    response = client.post("/accounts/login/", {"login": root.email, "password": PASSWORD, "next": "/admin/"})
    assert response["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_staff_without_a_permission_sees_no_list(as_user, patient):
    staff = UserFactory(is_staff=True)
    client = as_user(staff)
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/patients/patient/").status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_patient"))
    assert client.get("/admin/patients/patient/").status_code == 200


def test_staff_without_a_hospital_lands_in_the_administration(as_user, root):
    assert as_user(root).get("/")["Location"] == "/admin/"


@pytest.mark.parametrize("factory", [InvitationFactory, FamilyInvitationFactory])
def test_platform_staff_withdraw_invitations_of_either_kind(as_user, root, db, factory):
    model, keys = factory._meta.model, [factory().pk, factory(accepted_at=timezone.now()).pk]
    fields = {"action": "withdraw", "_selected_action": keys}
    answer = as_user(root).post(page(model, "changelist"), fields, follow=True)
    assert "1 invitation was withdrawn; its link no longer works." in answer.content.decode()
    assert list(model.objects.values_list("pk", flat=True)) == keys[1:]


def test_the_administration_has_no_list_but_the_portals_own_and_groups():
    """allauth's list of addresses let staff make a superuser's their own, and ask for a new password there."""
    assert {name.partition(".")[0] for name in MODELS} == {
        *("accounts", "audit", "dicom", "inference", "notices", "patients", "reports", "studies"),
        "auth",
    }
    assert [name for name in MODELS if name.startswith("auth.")] == ["auth.group"]
