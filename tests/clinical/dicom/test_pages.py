"""What people do with senders and with films that wait, on the pages."""

from datetime import date

import pytest
from django.core.files.storage import storages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.dicom.models import Arrival, Sender
from clinical.patients.models import Patient
from clinical.studies import intake
from clinical.studies.models import Study
from tests import radiograph_files
from tests.factories import (
    ArchiveFactory,
    ArrivalFactory,
    MembershipFactory,
    PatientFactory,
    SenderFactory,
    StudyFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def film(room):
    arrival = ArrivalFactory(
        sender=room, mrn="S-1", family_name="Sent", given_name="Sam", radiograph__file=radiograph_files.png()
    )
    yield arrival
    storages["private"].delete(arrival.radiograph.name)


def path(film, verb=""):
    return f"/arrivals/{film.pk}/{verb}"


# --- filing ---


def test_a_technician_files_a_film_and_it_is_a_study_like_any_other(as_user, tess, patient, film):
    response = as_user(tess).post(path(film), {"mrn": "a-1", "indication": "Short stature"})
    study = Study.objects.get()
    assert response["Location"] == f"/studies/{study.pk}/"
    assert (study.patient, study.indication, study.acquired_on) == (patient, "Short stature", date.today())
    assert (study.submitted_by, study.state, study.submission) == (tess, "queued", film.submission)
    assert not Arrival.objects.exists()
    event = AccessEvent.objects.get(verb="submit", object_key=str(study.pk))
    assert (event.actor, event.patient_key) == (tess, str(patient.pk))


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"mrn": ""}, "This field is required."),
        ({"mrn": "A-404"}, "No patient with the MRN A-404. Register the child first."),
        ({"mrn": "OLD-1"}, "This patient is archived. Restore the record before you upload."),
        ({"mrn": "A-1", "acquired_on": "2999-01-01"}, "The study date lies in the future."),
    ],
)
def test_what_cannot_be_filed_says_what_to_do_and_stays(as_user, tess, hospital, patient, film, sent, message):
    PatientFactory(hospital=hospital, mrn="OLD-1", archived_at=timezone.now())
    response = as_user(tess).post(path(film), sent)
    assert response.status_code == 422
    assert message in response.content.decode()
    assert Arrival.objects.get() == film
    assert not Study.objects.exists()


def test_a_patient_of_another_hospital_is_nobody(as_user, tess, other_hospital, film):
    PatientFactory(hospital=other_hospital, mrn="B-1")
    assert as_user(tess).post(path(film), {"mrn": "B-1"}).status_code == 422


def test_a_picture_that_is_filed_already_asks_once(as_user, tess, patient, film):
    StudyFactory(patient=patient, radiograph=film.radiograph)
    client = as_user(tess)
    response = client.post(path(film), {"mrn": "A-1"})
    assert response.status_code == 422
    assert "This very picture is filed for this patient already" in response.content.decode()
    assert "meant to be filed again" in response.content.decode()
    assert client.post(path(film), {"mrn": "A-1", "confirmed": "on"}).status_code == 302
    assert Study.objects.count() == 2


def test_a_film_that_is_filed_from_another_file_asks_once(as_user, tess, patient, film):
    StudyFactory(patient=patient, submission=film.submission)
    client = as_user(tess)
    response = client.post(path(film), {"mrn": "A-1"})
    assert response.status_code == 422
    assert "from a file with another header or compression" in response.content.decode()
    assert client.post(path(film), {"mrn": "A-1", "confirmed": "on"}).status_code == 302
    assert Study.objects.count() == 2


def test_a_film_is_decoded_while_nothing_is_locked(as_user, tess, patient, film, monkeypatch):
    reread, depths = intake.reread, []
    monkeypatch.setattr(
        intake, "reread", lambda radiograph: depths.append(len(connection.savepoint_ids)) or reread(radiograph)
    )
    before = len(connection.savepoint_ids)
    assert as_user(tess).post(path(film), {"mrn": "A-1"}).status_code == 302
    assert depths == [before]


def test_a_film_that_was_uploaded_by_hand_is_on_no_list(as_user, tess, patient, film):
    StudyFactory(patient=patient, radiograph=film.radiograph)
    client = as_user(tess)
    assert listed(client) == []
    assert "by DICOM" not in text(client.get("/studies/"))


def test_a_film_whose_picture_is_lost_says_so(as_user, tess, patient, film):
    storages["private"].delete(film.radiograph.name)
    response = as_user(tess).post(path(film), {"mrn": "A-1"})
    assert response.status_code == 422
    assert "could not be found" in response.content.decode()


def test_whoever_comes_to_a_film_that_a_colleague_has_filed_is_told_on_the_list(
    as_user, tess, alice, bob, patient, film
):
    assert as_user(tess).post(path(film), {"mrn": "A-1"}).status_code == 302
    client = as_user(alice)
    answers = [client.post(path(film, verb), {"mrn": "A-1"}, follow=True) for verb in ("", "discard/", "restore/")]
    answers += [client.get(path(film, verb), follow=True) for verb in ("", "register/")]
    for answer in answers:
        assert answer.redirect_chain == [("/arrivals/", 302)]
        assert "Tess has filed this film already." in answer.content.decode()
    assert Study.objects.count() == 1
    assert as_user(bob).get(path(film)).status_code == 404  # of another hospital


def test_whoever_comes_to_a_film_that_was_filed_elsewhere_is_told_that_it_waits_no_more(as_user, tess, film):
    client = as_user(tess)
    client.get(path(film))
    Arrival.objects.all().delete()
    assert "This film does not wait any more." in text(client.post(path(film), {"mrn": "A-1"}, follow=True))


def test_whoever_files_a_film_that_a_colleague_has_discarded_is_told_on_its_page(as_user, tess, alice, patient, film):
    as_user(tess).post(path(film, "discard/"))
    answer = as_user(alice).post(path(film), {"mrn": "A-1"}, follow=True)
    assert answer.redirect_chain == [(path(film), 302)]
    assert "Tess has discarded this film. Bring it back to file it." in text(answer)
    assert not Study.objects.exists()


def test_the_child_that_the_header_names_is_registered_and_then_offered(as_user, tess, hospital, film):
    client = as_user(tess)
    form = client.get(path(film, "register/")).context["form"]
    filled = {name: form[name].value() for name in ("mrn", "family_name", "given_name", "sex", "date_of_birth")}
    assert filled == {
        "mrn": "S-1",
        "family_name": "Sent",
        "given_name": "Sam",
        "sex": "M",
        "date_of_birth": date(2014, 2, 3),
    }
    response = client.post(path(film, "register/"), filled)
    assert response["Location"] == path(film)
    page = client.get(path(film))
    assert page.context["known"] == Patient.objects.get(mrn="S-1", hospital=hospital)
    assert page.context["form"]["mrn"].value() == "S-1"


def test_whoever_looks_at_a_film_is_on_record_for_the_patient_it_may_be_of(as_user, tess, patient, film):
    Arrival.objects.update(mrn=patient.mrn)
    as_user(tess).get(path(film))
    kinds = AccessEvent.objects.filter(actor=tess, verb="view").values_list("object_type", "patient_key")
    assert set(kinds) == {("arrival", ""), ("patient", str(patient.pk))}


# --- the list ---


def test_the_worklist_says_how_many_films_wait(as_user, tess, room, film, other_hospital):
    ArrivalFactory(sender__membership__hospital=other_hospital)
    ArrivalFactory(sender=room, discarded_at=timezone.now())
    assert "1 film came by DICOM and waits for its patient." in text(as_user(tess).get("/studies/"))
    ArrivalFactory(sender=room)
    assert "2 films came by DICOM and wait for their patient." in text(as_user(tess).get("/studies/"))


def test_where_no_film_waits_the_worklist_says_nothing_of_it(as_user, tess):
    assert "by DICOM" not in text(as_user(tess).get("/studies/"))


def text(response):
    return " ".join(response.content.decode().split())


def listed(client, **query):
    return [film.mrn for film in client.get("/arrivals/", query).context["page_obj"]]


def test_arrivals_are_searched_sorted_and_paged(as_user, tess, room):
    for mrn, family_name in (("M-2", "Adams"), ("M-1", "Baker"), ("M-3", "Clark")):
        ArrivalFactory(sender=room, mrn=mrn, family_name=family_name)
    client = as_user(tess)
    assert listed(client) == ["M-3", "M-1", "M-2"]  # the last that came first
    assert listed(client, sort="name") == ["M-2", "M-1", "M-3"]
    assert listed(client, sort="-mrn") == ["M-3", "M-2", "M-1"]
    assert listed(client, q="bak sam") == listed(client, q="m-1") == ["M-1"]
    assert listed(client, q="nobody") == []
    ArrivalFactory.create_batch(30, sender=room)
    assert len(listed(client)) == 25
    assert len(listed(client, page=2)) == 8


def test_more_arrivals_cost_no_more_queries(as_user, tess, room):
    client = as_user(tess)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get("/arrivals/")
        return len(captured)

    ArrivalFactory(sender=room)
    queries()
    few = queries()
    ArrivalFactory.create_batch(12, sender=SenderFactory(membership=room.membership))
    assert queries() == few


def test_a_discarded_film_is_listed_apart_and_comes_back(as_user, tess, film):
    client = as_user(tess)
    client.post(path(film, "discard/"))
    assert (listed(client), listed(client, discarded="true")) == ([], ["S-1"])
    client.post(path(film, "restore/"))
    assert (listed(client), listed(client, discarded="true")) == (["S-1"], [])
    verbs = AccessEvent.objects.filter(object_key=str(film.pk)).exclude(verb="view").values_list("verb", flat=True)
    assert sorted(verbs) == ["remove", "restore"]


# --- senders ---


def fields(member, **changed):
    return {
        "name": "Room",
        "ae_title": "CR_1",
        "address": "192.0.2.5",
        "membership": member.memberships.get().pk,
        **changed,
    }


def test_an_administrator_adds_changes_and_removes_a_sender(as_user, ada, tess, alice, hospital):
    client = as_user(ada)
    assert client.post("/members/dicom/", fields(tess)).status_code == 302
    sender = Sender.objects.get()
    assert (sender.hospital, sender.ae_title, sender.membership.user) == (hospital, "CR_1", tess)
    client.post(f"/members/dicom/{sender.pk}/edit/", fields(alice, ae_title="CR_2"))
    sender.refresh_from_db()
    assert (sender.ae_title, sender.membership.user) == ("CR_2", alice)
    assert client.get(f"/members/dicom/{sender.pk}/remove/").status_code == 200
    assert Sender.objects.exists()  # it asks first
    client.post(f"/members/dicom/{sender.pk}/remove/")
    assert not Sender.objects.exists()
    events = AccessEvent.objects.filter(object_type="sender", actor=ada).order_by("pk")
    said = events.values_list("verb", "detail", "actor_role")
    assert [*said] == [
        ("create", "", "hospital_admin"),
        ("edit", "ae_title, membership", "hospital_admin"),
        ("remove", "", "hospital_admin"),
    ]
    assert events[1].changed_values.values["ae_title"] == ["CR_1", "CR_2"]


def test_where_reports_went_before_an_archive_was_changed_stays_on_record(as_user, root, hospital):
    archive = ArchiveFactory(hospital=hospital, host="pacs.example", port=104)
    sent = {"name": archive.name, "ae_title": archive.ae_title, "host": "elsewhere.example", "port": 104}
    assert as_user(root).post(f"/admin/dicom/archive/{archive.pk}/change/", sent).status_code == 302
    event = AccessEvent.objects.get(verb="edit")
    assert (event.hospital, event.actor, event.object_key) == (hospital, root, str(archive.pk))
    assert event.changed_values.values["host"] == ["pacs.example", "elsewhere.example"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ae_title": "A\\B"}, "no backslash"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, "at most 16 characters"),
        ({"ae_title": "ÄRZTE"}, "An AE title has"),
        ({"address": "the basement"}, "Enter a valid IPv4 or IPv6 address."),
        ({"membership": ""}, "This field is required."),
    ],
)
def test_a_sender_that_cannot_be_says_why(as_user, ada, tess, changed, message):
    response = as_user(ada).post("/members/dicom/", fields(tess, **changed))
    assert response.status_code == 422
    assert message in response.content.decode()
    assert not Sender.objects.exists()


def test_a_sender_is_added_once(as_user, ada, tess):
    client = as_user(ada)
    client.post("/members/dicom/", fields(tess))
    response = client.post("/members/dicom/", fields(tess, name="The same"))
    assert response.status_code == 422
    assert "is on the list already" in response.content.decode()
    assert client.post("/members/dicom/", fields(tess, address="192.0.2.6")).status_code == 302


def test_two_hospitals_may_have_senders_of_one_title(as_user, ada, tess, other_hospital):
    SenderFactory(membership__hospital=other_hospital, ae_title="CR_1", address="192.0.2.5")
    assert as_user(ada).post("/members/dicom/", fields(tess)).status_code == 302


def test_films_come_in_the_name_of_clinicians_of_the_hospital_alone(as_user, ada, tess, alice, bob):
    client = as_user(ada)
    choices = client.get("/members/dicom/").context["form"].fields["membership"].queryset
    assert {member.user for member in choices} == {tess, alice}
    for nobody in (ada, bob):
        assert client.post("/members/dicom/", fields(nobody)).status_code == 422


def test_the_page_says_where_to_send_to_or_that_nothing_listens(as_user, ada, hospital, settings):
    client = as_user(ada)
    assert "does not listen for DICOM" in text(client.get("/members/dicom/"))
    settings.DICOM_PORT, settings.PORTAL_URL = 11112, "https://boneage.hospital.example"
    page = text(client.get("/members/dicom/"))
    for said in (f"BONEAGE{hospital.pk}", "boneage.hospital.example", "11112"):
        assert f"<code>{said}</code>" in page


def test_a_sender_without_a_member_is_marked(as_user, ada, room):
    Sender.objects.update(membership=MembershipFactory(hospital=room.hospital, role="hospital_admin"))
    assert "Nobody: turned away" in text(as_user(ada).get("/members/dicom/"))
