import re
import uuid
from datetime import date
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.studies import workflow
from clinical.studies.intake import RIGHT_HAND
from clinical.studies.models import State, Study
from tests.factories import PASSWORD, GuardianshipFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

STATES = list(State)
# The design's table: verb -> states it starts from, state it leads to. Doctors only.
TABLE = {
    "review": ({State.ANALYSED, State.REJECTED, State.REVIEWED}, State.REVIEWED),
    "sign": ({State.REVIEWED}, State.SIGNED),
    "amend": ({State.SIGNED, State.RELEASED}, State.REVIEWED),
}


@pytest.fixture
def study(patient, alice):
    """An analysed study: bone age 126 months at 121.7 months of age."""
    return study_in(State.ANALYSED, patient, alice)


def study_in(state, patient, doctor):
    study = StudyFactory(patient=patient, state=state)
    if state not in (State.REJECTED, State.FAILED):
        study.analysis.bone_age_months = 126.0
        study.analysis.save()
    if state in (State.REVIEWED, State.SIGNED, State.RELEASED):
        study.review = study.judged(126.0, doctor=doctor, method="ai", impression="Normal.")
        study.review.save()
        study.save()
    return study


def form(study, verb, **changes):
    seen = str(study.review_id or "")
    fields = {
        "review": {"method": "own", "years": "10", "months": "3", "impression": "", "seen": seen},
        "sign": {"seen": seen},
        "amend": {"reason": "Another child."},
    }[verb]
    return {**fields, **changes}


def post(client, study, verb, **changes):
    return client.post(f"/studies/{study.pk}/{verb}/", form(study, verb, **changes))


def assert_lands_on(heading, page):
    """The browser goes down to the notice, also while the film still loads: the form's action names it."""
    assert page.count('id="not-kept"') == page.count('/review/#not-kept"') == 1
    assert page.count("autofocus") == 1
    assert heading in page.split("autofocus")[1][:400]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", TABLE)
def test_a_doctor_uses_each_verb_from_its_states_only(as_user, alice, patient, verb, state):
    study = study_in(state, patient, alice)
    post(as_user(alice), study, verb)
    states, to = TABLE[verb]
    assert Study.objects.get(pk=study.pk).state == (to if state in states else state)


@pytest.mark.parametrize("verb", ["review", "sign", "amend", "release"])
def test_a_technician_uses_none_of_them(as_user, tess, alice, patient, verb):
    for state in STATES:
        study = study_in(state, patient, alice)
        assert as_user(tess).post(f"/studies/{study.pk}/{verb}/").status_code == 403
        assert Study.objects.get(pk=study.pk).state == state


@pytest.mark.parametrize(
    ("fields", "months"),
    [
        ({"method": "ai"}, 126.0),
        ({"method": "own", "years": "10", "months": "3"}, 123.0),
        ({"method": "own", "years": "11", "months": ""}, 132.0),
        ({"method": "atlas", "plate": "120.0"}, 120.0),
    ],
)
def test_the_doctors_value_counts_and_the_estimate_stays(as_user, alice, study, fields, months):
    post(as_user(alice), study, "review", **fields)
    study = Study.objects.get()
    assert study.bone_age_months == study.review.bone_age_months == months
    assert study.analysis.bone_age_months == 126.0
    assert study.review.doctor == alice


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": ""}, "required"),
        ({"method": "dice"}, "not one of the available choices"),
        ({"method": "own", "years": "", "months": ""}, "Enter the bone age in years and months"),
        ({"method": "own", "years": "10", "months": "14"}, "less than or equal to 11"),
        ({"method": "own", "years": "-1"}, "greater than or equal to 0"),
        ({"method": "atlas", "plate": ""}, "Choose the plate"),
        ({"method": "atlas", "plate": "121"}, "not one of the available choices"),
    ],
)
def test_a_reading_with_a_mistake_is_explained_and_kept_on_the_page(as_user, alice, study, fields, words):
    response = post(as_user(alice), study, "review", comment="Carpals ahead of phalanges", **fields)
    page = response.content.decode()
    assert response.status_code == 422
    assert words in page
    assert "Carpals ahead of phalanges" in page
    assert_lands_on("Not kept yet", page)
    assert Study.objects.get().state == State.ANALYSED


def test_whoever_reads_on_from_a_reading_that_was_not_kept_comes_to_the_study(as_user, alice, patient, study):
    _, later = (study_in(State.ANALYSED, patient, alice) for _ in range(2))
    Study.objects.filter(pk=later.pk).update(acquired_on=date(2025, 5, 1))
    client, path = as_user(alice), f"/studies/{study.pk}/"
    page = post(client, study, "review", years="").content.decode()
    assert f'href="{path}?beside=none"' in page
    assert f'href="{path}?beside={later.pk}"' in page
    assert client.get(f"{path}review/")["Location"] == path


def test_there_is_no_estimate_to_accept_in_a_rejected_study(as_user, alice, patient):
    study = study_in(State.REJECTED, patient, alice)
    assert post(as_user(alice), study, "review", method="ai").status_code == 422
    assert post(as_user(alice), study, "review").status_code == 302
    assert Study.objects.get().bone_age_months == 123.0


def test_an_estimate_of_no_month_at_all_can_be_accepted(as_user, alice, study):
    study.analysis.bone_age_months = 0.0
    study.analysis.save()
    response = post(as_user(alice), study, "review", method="ai", confirmed="on")
    assert response.status_code == 302
    assert Study.objects.get().review.bone_age_months == 0.0


@pytest.mark.parametrize(
    ("years", "words"),
    [("8", ["AI estimate differs by more than 12 months"]), ("3", ["AI estimate", "more than 4 SD apart"])],
)
def test_a_doubtful_reading_asks_once(as_user, alice, study, years, words):
    client = as_user(alice)
    response = post(client, study, "review", years=years)
    assert response.status_code == 409
    assert all(sentence in response.content.decode() for sentence in words)
    assert_lands_on("Not kept yet. Is this", response.content.decode())
    assert Study.objects.get().state == State.ANALYSED
    assert post(client, study, "review", years=years, confirmed="on").status_code == 302
    assert Study.objects.get().state == State.REVIEWED


def test_an_estimate_far_from_the_age_asks_the_technician_too(as_user, tess, study):
    client, path = as_user(tess), f"/studies/{study.pk}/"
    words = "more than 4 SD apart. Is this the right child, sex and date?"
    assert words not in client.get(path).content.decode()
    study.analysis.bone_age_months = 36.0
    study.analysis.save()
    assert words in client.get(path).content.decode()


def test_whether_it_is_the_right_child_is_asked_before_a_reading_is_kept_and_stands_quietly_then(as_user, alice, study):
    notice = "The file says born 7 February 2012, the record 9 March 2014."
    study.notices = [notice, RIGHT_HAND]
    study.save()
    client, path = as_user(alice), f"/studies/{study.pk}/"
    banner, badge = "<h2>Is this the right child, sex and date?</h2>", "What the file says differs"
    assert banner in client.get(path).content.decode()
    assert badge in client.get("/studies/").content.decode()
    asked = post(client, study, "review")
    assert (asked.status_code, asked.context["doubts"]) == (409, [notice])
    assert post(client, study, "review", confirmed="on").status_code == 302
    page = client.get(path).content.decode()
    assert banner not in page
    assert notice in page
    assert badge not in client.get("/studies/").content.decode()


def test_a_right_hand_alone_is_told_and_asked_about_nowhere(as_user, alice, study):
    study.notices = [RIGHT_HAND]
    study.save()
    client, path = as_user(alice), f"/studies/{study.pk}/"
    page = client.get(path).content.decode()
    assert RIGHT_HAND in page
    assert "Is this the right child, sex and date?" not in page
    assert "What the file says differs" not in client.get("/studies/").content.decode()
    assert post(client, study, "review").status_code == 302


def test_the_impression_follows_the_value_unless_the_doctor_wrote_another(as_user, alice, study):
    client = as_user(alice)
    suggested = client.get(f"/studies/{study.pk}/").context["review_form"]["suggested"].value()
    assert suggested.startswith("Bone age 10 y 6 m at a chronological age of 10 y 1 m: normal (SDS ")
    post(client, study, "review", impression=suggested, suggested=suggested)
    assert Study.objects.get().review.impression.startswith("Bone age 10 y 3 m at")
    post(client, Study.objects.get(), "review", impression="Bones of a ten-year-old.")
    assert Study.objects.get().review.impression == "Bones of a ten-year-old."


def test_the_page_sends_the_impression_it_suggested_so_that_it_follows(as_user, alice, study):
    client = as_user(alice)
    path = f"/studies/{study.pk}/"
    page = client.get(path).content.decode()
    hidden = dict(re.findall(r'name="(seen|analysis|suggested)"\s+(?:value="([^"]*)")?', page))
    typed = form(study, "review", **hidden, impression=hidden["suggested"], comment="Carpals ahead")
    overtaken = client.post(f"{path}review/", typed | {"seen": uuid.uuid4()})
    assert overtaken.context["review_form"]["suggested"].value() == hidden["suggested"]
    assert client.post(f"{path}review/", typed).status_code == 302
    assert Study.objects.get().review.impression.startswith("Bone age 10 y 3 m at")


def test_what_the_doctor_has_read_comes_before_the_estimate(as_user, alice, study):
    client, path = as_user(alice), f"/studies/{study.pk}/"

    def order():
        return re.findall(r'id="(result|reading)-head"', client.get(path).content.decode())

    assert order() == ["result", "reading"]
    post(client, study, "review")
    assert order() == ["reading", "result"]


def test_every_reading_stays(as_user, alice, study):
    for years in ("10", "11"):
        post(as_user(alice), Study.objects.get(), "review", years=years, months="0")
    assert [review.bone_age_months for review in study.reviews.order_by("reviewed_at")] == [120.0, 132.0]


@pytest.mark.parametrize("meanwhile", ["review", "sign", "release"])
def test_of_two_doctors_at_once_the_second_is_told_and_finds_what_they_typed(as_user, alice, study, meanwhile):
    client = as_user(alice)
    typed = form(study, "review", years="11", comment="Carpals ahead of phalanges")
    post(client, study, "review")
    if meanwhile != "review":
        Study.objects.update(state={"sign": State.SIGNED, "release": State.RELEASED}[meanwhile])
    response = client.post(f"/studies/{study.pk}/review/", typed)
    page = response.content.decode()
    assert response.status_code == 409
    assert "moved on meanwhile" in page
    assert_lands_on("Not kept yet", page)
    assert "Carpals ahead of phalanges" in page
    assert "10 y 3 m" in page  # the reading of the first
    assert study.reviews.count() == 1
    shown = response.context["review_form"]
    again = client.post(f"/studies/{study.pk}/review/", {field.html_name: field.value() or "" for field in shown})
    assert again.status_code == (302 if meanwhile == "review" else 409)
    assert [review.comment for review in study.reviews.all()][:-1] == ["Carpals ahead of phalanges"] * (
        meanwhile == "review"
    )


@pytest.mark.parametrize("verb", ["retry", "reanalyse", "review", "sign", "release", "amend"])
def test_an_anonymised_record_takes_no_words_of_a_doctor_and_nothing_else(as_user, alice, patient, verb):
    study = study_in(list(workflow.TABLE[verb])[-1], patient, alice)
    patient.anonymised_at = timezone.now()
    patient.save()
    client, path = as_user(alice), f"/studies/{study.pk}/"
    page = client.get(path)
    assert page.context["actions"] <= {"withdraw"}
    assert ("Withdraw the study" in page.content.decode()) == ("withdraw" in page.context["actions"])
    assert f"{path}{verb}/" not in page.content.decode()
    assert "the figures stay for statistics, and nothing is added" in page.content.decode()
    before = Study.objects.values().get()
    typed = {"seen": study.review_id or "", "method": "own", "years": "3", "comment": "Doe"}  # doubtful, too
    answer = client.post(f"{path}{verb}/", typed, follow=True)
    assert "The record is anonymised and takes no new entry: nothing was saved." in answer.content.decode()
    assert Study.objects.values().get() == before
    assert study.reviews.count() == (1 if study.review else 0)


def test_signing_waits_for_the_password(client, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})  # which is no signature
    asked = post(client, study, "sign")
    path = f"/studies/{study.pk}/sign/"
    assert asked["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': path})}"
    wrong = client.post("/accounts/reauthenticate/", {"password": "wrong", "next": path})
    assert "password" in wrong.context["form"].errors
    assert Study.objects.get().state == State.REVIEWED
    signed = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})
    assert signed["Location"] == f"/studies/{study.pk}/"
    assert Study.objects.get().state == State.SIGNED
    # Whoever then asks for the page that only signs, say in another tab, comes to the study.
    assert client.get(path)["Location"] == f"/studies/{study.pk}/"


def test_who_is_no_doctor_any_more_does_not_sign_what_waited(client, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    asked = post(client, study, "sign")
    alice.memberships.update(role="technician")
    path = f"/studies/{study.pk}/sign/"
    assert client.post(asked["Location"], {"password": PASSWORD, "next": path}).status_code == 403
    assert Study.objects.get().state == State.REVIEWED


def test_a_review_that_was_replaced_meanwhile_is_not_signed(as_user, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    stale = form(study, "sign")
    workflow.review(study, alice, seen=study.review_id, method="own", bone_age_months=120.0, impression="Ten.")
    as_user(alice).post(f"/studies/{study.pk}/sign/", stale)
    assert Study.objects.get().state == State.REVIEWED


def test_signing_twice_is_one_signature(as_user, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    client = as_user(alice)
    for _ in range(2):
        assert post(client, study, "sign").status_code == 302
    assert AccessEvent.objects.filter(verb="sign", patient_key=str(patient.pk)).count() == 1


@pytest.mark.parametrize(
    ("verb", "state", "style"),
    [
        ("release", State.SIGNED, "primary"),
        ("amend", State.SIGNED, "danger"),
        ("withdraw", State.REVIEWED, "danger"),
        ("cancel", State.QUEUED, "danger"),
    ],
)
def test_whoever_is_asked_sees_whose_study_it_is(as_user, alice, patient, verb, state, style):
    study = study_in(state, patient, alice)
    page = as_user(alice).get(f"/studies/{study.pk}/{verb}/").content.decode()
    for fact in (patient.full_name, f"MRN {patient.mrn}", "Study of 1 May 2024", "10 y 6 m", f"button {style}"):
        assert fact in page


def test_who_is_told_of_a_release_is_said_before_it(as_user, alice, patient):
    study = study_in(State.SIGNED, patient, alice)
    client, path = as_user(alice), f"/studies/{study.pk}/release/"
    page = client.get(path).content.decode()
    assert "Nobody has access yet" in page
    assert "The family is told" not in page
    GuardianshipFactory(patient=patient, user__name="Dana Doe")
    page = client.get(path).content.decode()
    assert "The family is told" in page
    assert "Dana Doe</span> (mother)" in page
    assert "Nobody has access yet" not in page


def test_what_the_chosen_method_needs_is_not_called_optional(as_user, alice, patient):
    study = study_in(State.ANALYSED, patient, alice)
    page = as_user(alice).get(f"/studies/{study.pk}/").content.decode()
    for label in ("Atlas plate", "Years", "Months"):
        assert re.search(rf">\s*{label}\s*</label>", page)


def test_an_unsigned_study_is_not_released(as_user, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    response = as_user(alice).post(f"/studies/{study.pk}/release/", follow=True)
    assert "moved on meanwhile" in response.content.decode()
    assert Study.objects.get().state == State.REVIEWED


def test_a_rejected_study_that_a_doctor_has_read_is_not_analysed_again(as_user, alice, patient):
    study = study_in(State.REJECTED, patient, alice)
    post(as_user(alice), study, "review")
    as_user(alice).post(f"/studies/{study.pk}/retry/")
    assert Study.objects.get().state == State.REVIEWED


def test_the_password_never_comes_back_on_the_page(as_user, alice, patient):
    study = study_in(State.REVIEWED, patient, alice)
    response = post(as_user(alice), study, "sign", password="my secret typo")
    assert "my secret typo" not in response.content.decode()
