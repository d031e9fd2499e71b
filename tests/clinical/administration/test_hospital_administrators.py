"""Ada administers the hospital, Olga another: each finds her own hospital's rows in the administration, and no more."""

import re
import uuid

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from clinical.accounts.models import Invitation, Membership
from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record
from inference.models import ModelVersion
from tests.factories import (
    DispatchFactory,
    FamilyInvitationFactory,
    GuardianshipFactory,
    InvitationFactory,
    MeasurementFactory,
    MembershipFactory,
    ReportFactory,
    ReviewFactory,
    StudyFactory,
    UserFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")

MODELS = {model._meta.label_lower: model for model in admin.site._registry}
THEIRS = {
    "accounts.invitation",
    "accounts.membership",
    "audit.accessevent",
    "inference.analysis",
    "patients.familyinvitation",
    "patients.patient",
    "reports.dispatch",
    "reports.report",
    "studies.study",
}
OF_PATIENTS = {"inference.analysis", "patients.patient", "reports.dispatch", "reports.report", "studies.study"}


@pytest.fixture
def olga(other_hospital):
    """The other hospital's administrator."""
    user = UserFactory(name="Olga", email="olga@example.org")
    MembershipFactory(user=user, hospital=other_hospital, role="hospital_admin")
    return user


@pytest.fixture
def rows(patient, alice, ada, hospital):
    """One row of each model that administrators see, of Ada's hospital."""
    InvitationFactory(hospital=hospital)
    GuardianshipFactory(patient=patient)
    MeasurementFactory(patient=patient)
    FamilyInvitationFactory(patient=patient)
    record(Verb.VIEW, patient, actor=alice)
    study = StudyFactory(patient=patient, submitted_by=alice, state="analysed")
    DispatchFactory(report=ReportFactory(study=study, review=ReviewFactory(study=study, doctor=alice)))
    return {label: MODELS[label]._base_manager.filter(hospital=hospital).first() for label in THEIRS}


def page(label, name, *args):
    return reverse(f"admin:{label.replace('.', '_')}_{name}", args=args)


@pytest.mark.parametrize("label", MODELS)
def test_lists_are_there_for_what_is_a_hospitals_own(as_user, ada, rows, label):
    assert as_user(ada).get(page(label, "changelist")).status_code == (200 if label in THEIRS else 404)


@pytest.mark.parametrize("label", sorted(THEIRS))
def test_a_list_has_the_own_hospitals_rows_only_and_names_no_other_hospital(as_user, olga, ada, hospital, rows, label):
    own = as_user(ada).get(page(label, "changelist"))
    assert {row.hospital_id for row in own.context["cl"].result_list} == {hospital.pk}
    assert "Northern General" not in own.content.decode()
    others = as_user(olga).get(page(label, "changelist"))
    assert str(rows[label].pk) not in {str(row.pk) for row in others.context["cl"].result_list}
    assert "St. Anna" not in others.content.decode()


@pytest.mark.parametrize("label", sorted(THEIRS))
@pytest.mark.parametrize("name", ["change", "history", "delete"])
def test_another_hospitals_row_is_not_found_as_if_it_did_not_exist(as_user, ada, olga, rows, label, name):
    row = rows[label]
    guess = uuid.UUID(int=7) if isinstance(row.pk, uuid.UUID) else 10**9
    for method in ("get", "post"):
        for key in (row.pk, guess, "made-up"):
            answer = getattr(as_user(olga), method)(page(label, name, key))
            assert answer.status_code == 404
            assert not re.search(r"\bDoe\b", answer.content.decode())  # a random token may hold the three letters
    assert type(row)._base_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("label", sorted(THEIRS))
def test_an_own_row_opens_and_links_to_no_page_that_is_closed(as_user, ada, rows, label):
    client = as_user(ada)
    answer = client.get(page(label, "change", rows[label].pk))
    assert answer.status_code == 200
    for model in MODELS.keys() - THEIRS:
        assert f'href="{page(model, "changelist")}' not in answer.content.decode()


@pytest.mark.parametrize("label", sorted(THEIRS))
@pytest.mark.parametrize(
    ("name", "detail"), [("change", "administration"), ("history", "history in the administration")]
)
def test_a_look_at_a_patients_row_is_on_record(as_user, ada, rows, label, name, detail):
    before = AccessEvent.objects.filter(verb=Verb.VIEW, actor=ada).count()
    assert as_user(ada).get(page(label, name, rows[label].pk)).status_code == 200
    events = AccessEvent.objects.filter(verb=Verb.VIEW, actor=ada)
    assert events.count() - before == (label in OF_PATIENTS)
    if label in OF_PATIENTS:
        event = events.latest("pk")
        assert (event.object_key, event.detail) == (str(rows[label].pk), detail)


@pytest.mark.parametrize("label", sorted(THEIRS))
@pytest.mark.parametrize("name", ["change", "history"])
def test_no_title_names_a_patient(as_user, ada, rows, label, name):
    content = as_user(ada).get(page(label, name, rows[label].pk)).content.decode()
    assert not re.search(r"\bDoe\b", content.split("<title>")[1].split("</title>")[0])


@pytest.mark.parametrize("label", sorted(OF_PATIENTS))
def test_a_list_of_patients_rows_is_on_record_with_each_hospital_of_it(
    as_user, ada, rows, label, hospital, other_hospital
):
    root = UserFactory(is_staff=True, is_superuser=True)
    study = StudyFactory(patient__hospital=other_hospital, state="analysed")
    DispatchFactory(report=ReportFactory(study=study, review=ReviewFactory(study=study)))
    for user, hospitals in ((ada, {hospital.pk}), (root, {hospital.pk, other_hospital.pk})):
        as_user(user).get(page(label, "changelist"))
        events = AccessEvent.objects.filter(actor=user, verb=Verb.VIEW, object_type="hospital")
        assert {event.hospital_id for event in events} == hospitals
        assert {event.detail for event in events} == {f"list of {MODELS[label]._meta.verbose_name_plural}"}


@pytest.mark.parametrize("label", MODELS)
def test_nothing_can_be_added(as_user, ada, label):
    assert as_user(ada).get(page(label, "add")).status_code == (403 if label in THEIRS else 404)


@pytest.mark.parametrize("label", sorted(THEIRS - {"accounts.membership"}))
@pytest.mark.parametrize("name", ["change", "delete"])
def test_what_the_workflow_owns_is_looked_at_only(as_user, ada, rows, label, name):
    row = rows[label]
    assert as_user(ada).post(page(label, name, row.pk), {"post": "yes"}).status_code == 403
    assert type(row)._base_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("label", ["studies.study", "reports.report", "patients.familyinvitation"])
@pytest.mark.parametrize("action", ["retry", "cancel", "withdraw", "delete_selected"])
def test_actions_of_clinicians_and_of_the_platform_are_not_theirs(as_user, ada, rows, label, action):
    row = rows[label]
    before = type(row)._base_manager.filter(pk=row.pk).values().get()
    as_user(ada).post(page(label, "changelist"), {"action": action, "_selected_action": [row.pk]})
    assert type(row)._base_manager.filter(pk=row.pk).values().get() == before


def test_every_other_route_of_the_administration_is_closed(as_user, ada, patient):
    """From the URLconf, so that whatever is registered later is closed until it is opened."""
    # A key that no row of theirs has by chance: the history of one of those is open.
    version = ModelVersion.objects.create(pk=987_654, name="two_stage_compact", version="1")
    filled = {"object_id": version.pk, "pk": version.pk, "content_type_id": 1, "app_label": "auth"}
    opened = {"admin:index", "admin:login", "admin:logout", "admin:password_change", "admin:password_change_done"}
    opened |= {"admin:jsi18n"} | {f"admin:{label.replace('.', '_')}_changelist" for label in THEIRS}
    client, tried = as_user(ada), 0
    [site] = [each for each in get_resolver().url_patterns if getattr(each, "namespace", "") == "admin"]
    for pattern in _leaves(site.url_patterns):
        name = f"admin:{pattern.name}"
        if pattern.name is None or name in opened:
            continue
        kwargs = {key: filled.get(key, "made-up") for key in pattern.pattern.regex.groupindex}
        path = reverse(name, kwargs=kwargs)
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            assert answer.status_code in (403, 404, 405), f"{method} {path}"
            tried += 1
    assert tried > 50


def _leaves(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _leaves(pattern.url_patterns)
        else:
            yield pattern


def test_people_of_other_hospitals_are_not_suggested(as_user, ada, bob, hospital):
    asked = {"app_label": "accounts", "model_name": "membership", "field_name": "user", "term": "b"}
    assert as_user(ada).get(reverse("admin:autocomplete"), asked).status_code == 403


def test_a_filter_reaches_nothing_beyond_the_list(as_user, ada, patient, alice, rows):
    client = as_user(ada)
    for lookup in ("submitted_by__password__startswith=m", "patient__hospital__name__startswith=S"):
        assert client.get(f"{page('studies.study', 'changelist')}?{lookup}").status_code == 400


def roles(user):
    return list(user.memberships.values_list("role", flat=True))


def test_an_administrator_changes_a_role_by_the_workflow(as_user, ada, tess):
    [membership] = tess.memberships.all()
    answer = as_user(ada).post(page("accounts.membership", "change", membership.pk), {"role": "doctor"})
    assert answer.status_code == 302
    assert roles(tess) == ["doctor"]
    event = AccessEvent.objects.get(verb=Verb.CHANGE_ROLE)
    assert (event.actor, event.detail) == (ada, "technician to doctor")


def test_role_is_all_that_changes(as_user, ada, tess, other_hospital, charlie):
    [membership] = tess.memberships.all()
    fields = {"role": "technician", "hospital": other_hospital.pk, "user": charlie.pk, "is_superuser": "on"}
    as_user(ada).post(page("accounts.membership", "change", membership.pk), fields)
    membership.refresh_from_db()
    tess.refresh_from_db()
    assert (membership.user, membership.hospital_id != other_hospital.pk) == (tess, True)
    assert not tess.is_superuser


def test_an_administrator_removes_a_member_by_the_workflow(as_user, ada, tess):
    [membership] = tess.memberships.all()
    path = page("accounts.membership", "delete", membership.pk)
    assert "Tess" in as_user(ada).get(path).content.decode()
    assert as_user(ada).post(path, {"post": "yes"}).status_code == 302
    assert not roles(tess)
    assert AccessEvent.objects.get(verb=Verb.REMOVE_MEMBER).actor == ada


@pytest.mark.parametrize("way", ["change", "delete", "action"])
def test_the_only_administrator_stays(as_user, ada, way):
    [membership] = ada.memberships.all()
    client = as_user(ada)
    if way == "action":
        fields = {"action": "delete_selected", "_selected_action": [membership.pk], "post": "yes"}
        answer = client.post(page("accounts.membership", "changelist"), fields, follow=True)
    else:
        fields = {"role": "doctor", "post": "yes"}
        answer = client.post(page("accounts.membership", way, membership.pk), fields, follow=True)
    assert "only administrator" in answer.content.decode()
    assert roles(ada) == ["hospital_admin"]


def test_of_many_members_all_are_removed_or_none(as_user, ada, alice, hospital):
    MembershipFactory(hospital=hospital, role="hospital_admin", user__name="Aaron")
    chosen = list(hospital.memberships.values_list("pk", flat=True))
    fields = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    answer = as_user(ada).post(page("accounts.membership", "changelist"), fields, follow=True)
    assert "Nothing was changed. This is the hospital" in answer.content.decode()
    assert set(hospital.memberships.values_list("pk", flat=True)) == set(chosen)
    assert not AccessEvent.objects.filter(verb=Verb.REMOVE_MEMBER).exists()
    assert not LogEntry.objects.exists()


def test_who_gives_the_role_up_goes_where_their_work_is(as_user, ada, hospital):
    MembershipFactory(hospital=hospital, role="hospital_admin")
    [membership] = ada.memberships.all()
    answer = as_user(ada).post(page("accounts.membership", "change", membership.pk), {"role": "doctor"})
    assert answer["Location"] == "/"
    assert as_user(ada).get("/admin/").status_code == 302


def test_invitations_are_withdrawn_by_the_workflow_and_only_open_ones_of_the_own_hospital(
    as_user, ada, hospital, other_hospital
):
    own, others = InvitationFactory(hospital=hospital), InvitationFactory(hospital=other_hospital)
    fields = {"action": "withdraw", "_selected_action": [own.pk, others.pk]}
    answer = as_user(ada).post(page("accounts.invitation", "changelist"), fields, follow=True)
    assert "1 invitation was withdrawn; its link no longer works." in answer.content.decode()
    assert list(Invitation.objects.all()) == [others]
    assert AccessEvent.objects.get(verb=Verb.WITHDRAW_INVITATION).actor == ada


def test_an_administrator_of_one_hospital_who_works_in_another_sees_the_active_one(as_user, ada, other_hospital, rows):
    second = MembershipFactory(user=ada, hospital=other_hospital, role="doctor")
    client = as_user(ada)
    client.post("/hospital/", {"membership": second.pk})
    assert client.get("/admin/", follow=True).status_code == 403
    client.post("/hospital/", {"membership": Membership.objects.get(user=ada, role="hospital_admin").pk})
    assert client.get("/admin/").status_code == 200


def test_the_way_in_names_what_is_theirs(as_user, ada, tess):
    found = as_user(ada).get("/admin/").content.decode()
    for label in THEIRS:
        assert f'href="{page(label, "changelist")}"' in found
    assert "Model versions" not in found
    assert 'href="/admin/"' in as_user(ada).get("/members/").content.decode()
    assert 'href="/admin/"' not in as_user(tess).get("/studies/").content.decode()


@pytest.mark.parametrize("label", sorted(THEIRS))
def test_lists_ask_no_more_when_they_are_longer(
    as_user, ada, hospital, alice, rows, label, django_assert_max_num_queries
):
    client = as_user(ada)
    client.get(page(label, "changelist"))
    with CaptureQueriesContext(connection) as few:
        client.get(page(label, "changelist"))
    for _ in range(5):
        MembershipFactory(hospital=hospital)
        InvitationFactory(hospital=hospital, invited_by=UserFactory())
        study = StudyFactory(patient__hospital=hospital, state="analysed")
        FamilyInvitationFactory(patient=study.patient, invited_by=UserFactory())
        ReportFactory(study=study, review=ReviewFactory(study=study))
        record(Verb.VIEW, study, actor=UserFactory())
    with django_assert_max_num_queries(len(few)):
        client.get(page(label, "changelist"))
