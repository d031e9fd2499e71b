"""Why a study was taken back or a report amended: asked for, shown to those who work here, and to nobody else."""

import re

import pytest
from django.urls import reverse

from clinical.audit.models import AccessEvent
from clinical.studies import workflow
from clinical.studies.models import Study
from tests.factories import ReportFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

STATES = {"cancel": "queued", "withdraw": "rejected", "amend": "released"}


@pytest.fixture(params=STATES)
def verb(request):
    return request.param


@pytest.fixture
def study(patient, verb):
    if verb != "amend":
        return StudyFactory(patient=patient, state=STATES[verb])
    review = ReviewFactory(study__patient=patient, study__state="released")
    ReportFactory(study=review.study, review=review, state="ready")
    return review.study


def asked(study, verb):
    return reverse(f"studies:{verb}", args=[study.pk])


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.content.decode()))


@pytest.mark.parametrize(
    ("reason", "said"), [("", "This field is required"), (" \n ", "required"), ("x" * 301, "at most 300 characters")]
)
def test_nothing_is_done_without_a_reason_in_a_line(as_user, alice, study, verb, reason, said):
    client = as_user(alice)
    assert 'name="reason"' in client.get(asked(study, verb)).content.decode()
    refused = client.post(asked(study, verb), {"reason": reason})
    assert refused.status_code == 422
    assert said in words(refused)
    assert f'value="{reason.strip()}"' in refused.content.decode() or not reason.strip()
    assert Study.objects.get().state == STATES[verb]


def test_the_studys_page_says_who_did_it_and_why(as_user, alice, study, verb):
    client = as_user(alice)
    client.post(asked(study, verb), {"reason": "The film of\r\n her <sister>"})
    page = words(client.get(f"/studies/{study.pk}/"))
    said = {"cancel": r"Cancelled by Alice on .{16,20}", "withdraw": r"Withdrawn by Alice on .{16,20}"}
    assert re.search(said.get(verb, "Amended by Alice") + ": The film of her &lt;sister&gt;", page)


def test_the_reason_is_on_record_beside_the_event(as_user, alice, ada, study, verb):
    as_user(alice).post(asked(study, verb), {"reason": "Her sister"})
    event = AccessEvent.objects.get(verb=verb)
    assert (event.actor, event.detail) == (alice, "")
    assert event.changed_values.values == {"reason": ["", "Her sister"]}
    assert "Her sister" in as_user(ada).get("/audit/").content.decode()
    assert "Her sister" not in as_user(ada).get("/audit/export/").getvalue().decode()


def test_the_family_reads_nothing_of_it(as_user, alice, mother, study, verb):
    as_user(alice).post(asked(study, verb), {"reason": "Her sister"})
    for path in ("/family/", f"/family/{study.patient_id}/", f"/family/{study.patient_id}/accesses/", "/notices/"):
        page = as_user(mother).get(path)
        assert page.status_code == 200
        assert "Her sister" not in page.content.decode()


def test_the_copy_of_the_record_says_it(as_user, alice, ada, study, verb, program):
    as_user(alice).post(asked(study, verb), {"reason": "Her sister"})
    bundle = program(alice).get(f"/api/v1/studies/{study.pk}/fhir/").json()
    [imaging] = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "ImagingStudy"]
    assert any(note["text"].endswith(": Her sister") for note in imaging["note"])


@pytest.mark.parametrize("verb", ["cancel", "withdraw"], indirect=True)
def test_an_anonymised_record_takes_no_reason(as_user, alice, patient, study, verb):
    patient.anonymised_at = study.submitted_at
    patient.save()
    client = as_user(alice)
    assert 'name="reason"' not in client.get(asked(study, verb)).content.decode()
    client.post(asked(study, verb), {"reason": "Doe"})
    done = Study.objects.get()
    assert (done.state, done.cancelled_by, done.cancellation_reason) == ("cancelled", alice, "")
    assert AccessEvent.objects.get(verb=verb).values_sha256 == ""


@pytest.mark.parametrize("verb", ["withdraw"], indirect=True)
def test_a_reason_that_was_typed_before_the_record_was_anonymised_is_not_kept(alice, patient, study, verb):
    seen = Study.objects.select_related("patient").get()
    patient.anonymised_at = study.submitted_at
    patient.save()
    workflow.withdraw(seen, alice, "Doe")
    assert Study.objects.get().cancellation_reason == ""
