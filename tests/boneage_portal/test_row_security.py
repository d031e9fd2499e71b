"""PostgreSQL's second wall: what raw SQL sees and writes as the portal's own role, in one scope and in another."""

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django_scopes import scope, scopes_disabled

from clinical.accounts import row_security
from clinical.accounts.models import Hospital, Membership, User
from clinical.accounts.scope import every_hospital
from clinical.notices.models import Notification
from clinical.notices.tasks import mail_due
from clinical.patients.models import Patient
from clinical.studies.models import Study
from tests.factories import (
    PASSWORD,
    FamilyInvitationFactory,
    FormerMeasurementFactory,
    GuardianshipFactory,
    InvitationFactory,
    MeasurementFactory,
    MembershipFactory,
    NotificationFactory,
    PatientFactory,
    ReportFactory,
)

TABLES = [model for model in row_security.tables() if row_security.policies(model)]
TENANTS = [model for model in TABLES if any(field.name == "hospital" for field in model._meta.fields)]


@pytest.mark.parametrize("model", row_security.tables(), ids=lambda model: model._meta.label)
def test_of_every_table_it_is_said_whose_its_rows_are(model):
    row_security.policies(model)


def test_the_database_has_no_table_but_these(db):
    """A library's own, in whose place stands one of the portal, would be guarded by nothing."""
    made = {model._meta.db_table for model in row_security.tables()}
    beside = {MigrationRecorder.Migration._meta.db_table}
    assert set(connection.introspection.table_names()) == made | beside


def test_a_table_that_nobody_thought_of_is_named():
    class Leaflet(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "studies"

    try:
        with pytest.raises(row_security.Uncovered, match=r"studies\.Leaflet has no hospital"):
            row_security.policies(Leaflet)
    finally:
        del apps.all_models["studies"]["leaflet"]
        apps.clear_cache()


def test_a_table_of_parts_is_guarded_by_the_policy_of_the_whole():
    class Page(models.Model):  # noqa: DJ008
        study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "studies"

    try:
        [(statement, using, check)] = row_security.policies(Page).values()
        assert (statement, check) == ("ALL", using)
        assert 'FROM "studies_study" whole WHERE whole."id" = "studies_page"."study_id"' in using
    finally:
        del apps.all_models["studies"]["page"]
        apps.clear_cache()


def test_the_shared_tables_are_tables_that_there_are():
    names = {model._meta.label for model in row_security.tables()} | {config.label for config in apps.get_app_configs()}
    later = {"mfa", "usersessions"}
    assert row_security.SHARED.keys() | row_security.PERSONAL <= names | later


def test_sqlite_is_told_that_it_has_none(db):
    if connection.vendor == "sqlite":
        with pytest.raises(CommandError, match="needs PostgreSQL"):
            call_command("row_security", "status")


def count(table):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return cursor.fetchone()[0]


@pytest.fixture
def rows(hospital, other_hospital):
    """As much in one hospital as in the other."""
    with scopes_disabled():
        for each in (hospital, other_hospital):
            patient = PatientFactory(hospital=each)
            ReportFactory(study__patient=patient)
            MeasurementFactory(patient=patient)
            FormerMeasurementFactory(patient=patient)
            GuardianshipFactory(patient=patient)
            FamilyInvitationFactory(patient=patient)
            InvitationFactory(hospital=each)
            MembershipFactory(hospital=each)
            NotificationFactory(hospital=each)


@pytest.mark.servers
class TestAsThePortalsRole:
    @pytest.fixture(autouse=True)
    def as_the_web_role(self, rows, web_role):
        pass

    @pytest.mark.parametrize("model", TENANTS, ids=lambda model: model._meta.label)
    def test_raw_sql_sees_the_hospital_of_the_scope_and_no_other(self, model, hospital, other_hospital):
        table = model._meta.db_table
        with scope(hospital=hospital):
            own = count(table)
        with scope(hospital=[other_hospital.pk]):
            others = count(table)
        with every_hospital():
            assert count(table) == own + others
        assert count(table) == 0
        if model in (Patient, Study, Membership, Notification):
            assert own == others == 1

    def test_the_scope_of_one_statement_is_not_left_for_the_next(self, hospital):
        with scope(hospital=hospital):
            assert count("patients_patient") == 1
        assert count("patients_patient") == 0

    def test_a_savepoint_taken_back_does_not_bring_an_earlier_scope_back(self, hospital, other_hospital):
        with scope(hospital=hospital):
            count("patients_patient")
        with scope(hospital=other_hospital):
            savepoint = transaction.savepoint()
            with scopes_disabled():
                assert count("patients_patient") == 2
            transaction.savepoint_rollback(savepoint)
            assert count("patients_patient") == 1
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
            assert count("patients_patient") == 1
        assert count("patients_patient") == 0

    def test_a_row_cannot_be_written_into_another_hospital(self, hospital, other_hospital):
        with scope(hospital=hospital):
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                PatientFactory(hospital=other_hospital)
            PatientFactory(hospital=hospital)

    def test_a_row_can_neither_be_moved_to_another_hospital_nor_fetched_from_there(self, hospital, other_hospital):
        change = "UPDATE patients_patient SET hospital_id = %s WHERE hospital_id = %s"
        with scope(hospital=hospital), connection.cursor() as cursor:
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                cursor.execute(change, [other_hospital.pk, hospital.pk])
            cursor.execute(change, [hospital.pk, other_hospital.pk])
            assert cursor.rowcount == 0
            cursor.execute("DELETE FROM patients_guardianship WHERE hospital_id = %s", [other_hospital.pk])
            assert cursor.rowcount == 0

    def test_the_names_of_hospitals_may_be_read_but_only_ones_own_is_changed(self, hospital, other_hospital):
        assert Hospital.objects.count() == 2
        with scope(hospital=hospital):
            assert Hospital.objects.update(address="Ringstrasse 1") == 1
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Hospital.objects.create(name="A third")

    def test_somebody_reads_their_own_memberships_before_there_is_a_scope_but_gives_themselves_none(
        self, hospital, other_hospital
    ):
        with scopes_disabled():
            alice = Membership.objects.get(hospital=hospital).user
        with scope(user=lambda: alice.pk):
            assert list(Membership.objects.values_list("user", flat=True)) == [alice.pk]
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                Membership.objects.create(user=alice, hospital=other_hospital, role="doctor")
            with connection.cursor() as cursor:
                cursor.execute("UPDATE accounts_membership SET role = 'hospital_admin'")
                assert cursor.rowcount == 0

    def test_a_mail_is_sent_to_whom_it_is_due_without_a_hospital(self, mailoutbox):
        with scopes_disabled():
            user = Notification.objects.first().user
            Notification.objects.update(mail_due_at="2020-01-01T00:00Z")
        mail_due(user_id=user.pk)
        assert [mail.to for mail in mailoutbox] == [[user.email]]

    def test_the_first_account_is_made(self, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
        call_command("createsuperuser", interactive=False, email="root@example.org", name="Root")
        assert User.objects.get(email="root@example.org").is_superuser

    def test_status_finds_every_table_guarded(self, settings, capsys):
        settings.ROW_SECURITY = True
        call_command("row_security", "status")
        assert "binds this role" in capsys.readouterr().out


@pytest.mark.servers
@pytest.mark.usefixtures("db")
class TestTheCommand:
    def test_status_names_what_is_not_guarded(self, web_role_made, capsys):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE studies_study DISABLE ROW LEVEL SECURITY")
        with pytest.raises(CommandError, match="as the owner"):
            call_command("row_security", "status")
        assert capsys.readouterr().err == "Not guarded: studies_study\n"

    def test_on_twice_is_on_and_off_leaves_no_policy(self, web_role_made):
        call_command("row_security", "on", role=web_role_made)
        assert row_security.unguarded() == []
        call_command("row_security", "off")
        assert row_security.unguarded() == sorted(model._meta.db_table for model in TABLES)

    def test_a_portal_that_signs_in_as_the_owner_is_told_that_the_wall_does_not_hold(self, web_role_made, settings):
        settings.ROW_SECURITY = True
        with pytest.raises(CommandError, match="do not bind this role"):
            call_command("row_security", "status")

    def test_a_role_above_the_policies_is_refused(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            [owner] = cursor.fetchone()
        with pytest.raises(CommandError, match="above row-level security"):
            call_command("row_security", "on", role=owner)

    def test_a_role_that_is_not_there_needs_a_password_to_be_made(self, monkeypatch):
        monkeypatch.delenv("POSTGRES_WEB_PASSWORD", raising=False)
        with pytest.raises(CommandError, match="set POSTGRES_WEB_PASSWORD"):
            call_command("row_security", "on", role="nobody_of_that_name")
