from datetime import date, timedelta

import pytest
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients.forms import PatientForm
from clinical.patients.models import Patient
from tests.factories import MeasurementFactory, PatientFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

JANE = {
    "mrn": "B-2",
    "family_name": "Smith",
    "given_name": "Jane",
    "sex": "F",
    "date_of_birth": "2014-03-09",
    "mother_height_cm": "168",
    "father_height_cm": "181.5",
    "notes": "Prefers the left chair.",
}


@pytest.fixture
def create(as_user, alice):
    client = as_user(alice)
    return lambda **change: client.post("/patients/new/", JANE | change)


def errors(response):
    """Field -> its one error, which is a sentence."""
    assert response.status_code == 422
    found = {field: sentence for field, [sentence] in response.context["form"].errors.items()}
    page = response.content.decode()
    assert all(sentence.endswith(".") for sentence in found.values())
    assert all(sentence.split("'")[0] in page for sentence in found.values())
    return found


def events():
    """What was done; looks at a page or a form are left out."""
    done = AccessEvent.objects.exclude(verb="view")
    return list(done.order_by("pk").values_list("verb", "actor_name", "detail"))


@pytest.mark.parametrize("person", ["alice", "tess"])
def test_a_patient_is_created_in_the_hospital_one_works_in(request, as_user, hospital, person):
    client = as_user(request.getfixturevalue(person))
    response = client.post("/patients/new/", JANE)
    patient = Patient.objects.get()
    assert response["Location"] == f"/patients/{patient.pk}/"
    assert patient.hospital == hospital
    assert patient.full_name == "Smith, Jane"
    assert (patient.sex, patient.date_of_birth) == ("F", date(2014, 3, 9))
    assert (patient.mother_height_cm, patient.father_height_cm) == (168, 181.5)
    page = client.get(response["Location"]).content.decode()
    assert "Smith, Jane was saved." in page
    assert "Prefers the left chair." in page


def test_what_may_be_left_out_may_be_left_out(create):
    response = create(given_name="", mother_height_cm="", father_height_cm="", notes="")
    assert response.status_code == 302
    assert Patient.objects.get().full_name == "Smith"


@pytest.mark.parametrize("field", ["mrn", "family_name", "sex", "date_of_birth"])
@pytest.mark.parametrize("nothing", ["", "   "])
def test_what_is_needed_is_asked_for(create, field, nothing):
    assert list(errors(create(**{field: nothing}))) == [field]


def days_ago(days):
    return (date.today() - timedelta(days=days)).isoformat()


@pytest.mark.parametrize("born", [days_ago(0), days_ago(1), days_ago(36_000)])
def test_a_birth_from_today_to_nearly_a_hundred_years_back_is_taken(create, born):
    assert create(date_of_birth=born).status_code == 302


@pytest.mark.parametrize(
    ("born", "said"),
    [
        (days_ago(-1), "The date of birth lies in the future."),
        ("1900-01-01", "The date of birth lies more than 100 years back. Check the year."),
        ("0014-03-09", "The date of birth lies more than 100 years back. Check the year."),
        ("2014-02-30", "Enter a valid date."),
        ("soon", "Enter a valid date."),
    ],
)
def test_a_birth_that_cannot_be_is_refused(create, born, said):
    assert errors(create(date_of_birth=born)) == {"date_of_birth": said}


@pytest.mark.parametrize("typed", ["", "34", "34+2", " 22+0 ", "44+6"])
def test_a_gestational_age_is_taken_as_it_is_written(create, client, typed):
    response = create(gestational_age=typed)
    gestation = Patient.objects.get().gestational_age
    assert gestation == typed.strip()
    assert (f"{gestation} weeks" in client.get(response["Location"]).content.decode()) == bool(gestation)


@pytest.mark.parametrize("typed", ["20+6", "45", "34+7", "34.5", "34 weeks", "238", "term"])
def test_what_is_no_gestational_age_is_refused_in_one_sentence(create, typed):
    said = "Give the gestational age in completed weeks, 21 to 44, with days if they are known: 34 or 34+2."
    assert errors(create(gestational_age=typed)) == {"gestational_age": said}


def test_a_changed_gestational_age_is_on_record(as_user, alice, patient, edited):
    edited(as_user(alice), patient, gestational_age="34+2")
    assert events() == [("edit", "Alice", "gestational_age")]
    assert AccessEvent.objects.get(verb="edit").changed_values.values == {"gestational_age": ["", "34+2"]}


@pytest.mark.parametrize("typed", ["1.82", "1820"])
@pytest.mark.parametrize("parent", ["mother", "father"])
def test_a_parents_height_in_another_unit_is_recognised(create, parent, typed):
    field = f"{parent}_height_cm"
    answer = create(**{field: typed})
    assert errors(answer) == {field: f"You typed {typed} cm: did you mean 182 cm? Save again if so."}
    assert answer.context["form"][field].value() == "182"


@pytest.mark.parametrize("height", ["0.72", "99", "251", "-170"])
@pytest.mark.parametrize("parent", ["mother", "father"])
def test_a_parents_height_is_in_centimetres(create, parent, height):
    [sentence] = errors(create(**{f"{parent}_height_cm": height})).values()
    assert sentence.startswith("A parent's height is given in centimetres")


@pytest.mark.parametrize("height", ["tall", "nan", "inf", "1e400"])
def test_a_height_is_a_number(create, height):
    assert errors(create(mother_height_cm=height)) == {"mother_height_cm": "Enter a number."}


@pytest.mark.parametrize("sex", ["X", "female", "f"])
def test_sex_is_one_of_the_two_the_references_know(create, sex):
    assert list(errors(create(sex=sex))) == ["sex"]


@pytest.mark.parametrize("name", ["x" * 200, "النجار", "Nguyễn", "O'Brien-Ångström", "<b>Bold</b>", "田中", "👶"])
def test_names_are_taken_as_they_are_written(create, client, name):
    response = create(family_name=name)
    patient = Patient.objects.get()
    assert patient.family_name == name
    page = client.get(response["Location"])
    assert page.status_code == 200
    assert "<b>Bold" not in page.content.decode()


@pytest.mark.parametrize(("field", "length"), [("family_name", 200), ("given_name", 200), ("mrn", 40), ("notes", 4000)])
def test_what_is_too_long_is_refused_with_the_limit(create, field, length):
    [sentence] = errors(create(**{field: "x" * (length + 1)})).values()
    assert f"at most {length} characters" in sentence
    assert create(**{field: "x" * length}).status_code == 302


@pytest.mark.parametrize("mrn", ["A-1", "a-1", " A-1 "])
def test_an_mrn_is_given_once_in_a_hospital(create, patient, mrn):
    said = errors(create(mrn=mrn))["mrn"]
    assert "belongs to another patient of the hospital" in said
    assert f'<a href="/patients/{patient.pk}/">open that record</a>' in said
    assert Patient.objects.count() == 1


def test_an_archived_patient_keeps_the_mrn(create, patient):
    patient.archived_at = timezone.now()
    patient.save()
    assert "mrn" in errors(create(mrn="A-1"))


def test_two_hospitals_may_give_the_same_mrn(create, other_hospital):
    PatientFactory(hospital=other_hospital, mrn="B-2")
    assert create().status_code == 302
    assert Patient.objects.filter(mrn="B-2").count() == 2


def test_a_form_that_is_sent_twice_makes_one_patient(create):
    assert create().status_code == 302
    assert list(errors(create())) == ["mrn"]
    assert Patient.objects.count() == 1
    assert [verb for verb, *_ in events()] == ["create"]


@pytest.fixture
def known(hospital):
    """Whom Jane Smith may be: somebody of her family's name, born on the same day."""
    return PatientFactory(hospital=hospital, family_name="SMITH", given_name="J.", date_of_birth=JANE["date_of_birth"])


def test_a_child_who_may_be_on_record_already_is_asked_about_once(create, known):
    answer = create()
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Is it this child?" in page
    assert f'<a href="/patients/{known.pk}/"><bdi>SMITH, J.</bdi></a>' in page
    assert AccessEvent.objects.filter(verb="view", object_key=known.pk).exists()  # name and MRN were shown
    assert Patient.objects.count() == 1
    assert create(confirmed="on").status_code == 302
    assert Patient.objects.count() == 2


@pytest.mark.parametrize("typed", [{"family_name": "Smithers"}, {"date_of_birth": "2014-03-10"}])
def test_another_name_or_day_is_another_child(create, known, typed):
    assert create(**typed).status_code == 302


def test_a_child_of_another_hospital_is_not_asked_about(create, other_hospital):
    PatientFactory(hospital=other_hospital, family_name="Smith", date_of_birth=JANE["date_of_birth"])
    assert create().status_code == 302


def test_an_edit_does_not_ask_whether_it_is_the_same_child(as_user, alice, known, edited):
    twin = PatientFactory(hospital=known.hospital, family_name="Smith", date_of_birth=JANE["date_of_birth"])
    assert edited(as_user(alice), twin, notes="Has a twin.").status_code == 302


def test_the_database_decides_when_two_are_faster_than_the_check(create, monkeypatch):
    monkeypatch.setattr(PatientForm, "clean_mrn", lambda form: form.cleaned_data["mrn"])
    create()
    for mrn in ("B-2", "b-2"):
        assert "just given to another patient" in errors(create(mrn=mrn, confirmed="on"))["mrn"]
    assert Patient.objects.count() == 1


def test_a_refused_form_keeps_what_was_typed(create):
    page = create(date_of_birth="1900-01-01").content.decode()
    assert 'value="Smith"' in page
    assert 'value="1900-01-01"' in page


def test_a_record_is_edited_and_the_audit_says_which_fields(as_user, alice, patient, edited):
    client = as_user(alice)
    assert 'value="2014-03-09"' in client.get(f"/patients/{patient.pk}/edit/").content.decode()
    edited(client, patient, family_name="Roe", mother_height_cm="165")
    patient.refresh_from_db()
    assert (patient.full_name, patient.mother_height_cm) == ("Roe, Jane", 165)
    assert events() == [("edit", "Alice", "family_name, mother_height_cm")]


def test_an_edit_with_a_mistake_changes_nothing(as_user, alice, patient, edited):
    response = edited(as_user(alice), patient, **JANE | {"sex": ""})
    assert list(errors(response)) == ["sex"]
    patient.refresh_from_db()
    assert patient.mrn == "A-1"
    assert not events()


def test_the_birth_cannot_move_behind_a_study(as_user, alice, patient, edited):
    StudyFactory(patient=patient, acquired_on=date(2024, 5, 1))
    client = as_user(alice)
    assert "2024" in errors(edited(client, patient, date_of_birth="2024-05-02"))["date_of_birth"]
    assert edited(client, patient, date_of_birth="2024-05-01").status_code == 302


@pytest.fixture
def late(as_user, alice, tess, patient, edited):
    """Tess has opened the form, then Alice corrects the record: `late(notes="")` is the answer to what Tess sends."""
    patient.notes, patient.mother_height_cm = "Prefers the left chair.\r\nDoe, <b>Jane</b>.", 168
    patient.save()
    form = as_user(tess).get(f"/patients/{patient.pk}/edit/").context["form"]
    opened = {name: form[name].value() or "" for name in form.fields}
    edited(as_user(alice), patient, sex="M", date_of_birth="2012-03-09", mother_height_cm="")
    return lambda **typed: as_user(tess).post(f"/patients/{patient.pk}/edit/", opened | typed)


def test_of_two_people_who_edit_at_once_the_second_is_told_and_reverts_nothing(late, patient):
    answer = late(notes="Call the mother.", given_name="")
    assert answer.status_code == 422
    page = " ".join(answer.content.decode().split())
    assert "Somebody has changed this record meanwhile." in page
    for changed in ('Sex: <span dir="auto">Male', 'Date of birth: <span dir="auto">09 March 2012', ">nothing</span>"):
        assert changed in page
    patient.refresh_from_db()
    assert (patient.given_name, patient.sex, patient.date_of_birth) == ("Jane", "M", date(2012, 3, 9))
    form = answer.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    typed = {"notes": "Call the mother.", "given_name": "", "sex": "M", "date_of_birth": "2012-03-09"}
    assert shown == shown | typed | {"mother_height_cm": "", "family_name": "Doe"}
    assert late(**shown).status_code == 302
    patient.refresh_from_db()
    assert (patient.full_name, patient.sex, patient.notes) == ("Doe", "M", "Call the mother.")


def test_where_two_have_changed_the_same_the_second_sees_both(late, patient):
    answer = late(date_of_birth="2013-03-09", mother_height_cm="soon")
    assert "09 March 2012" in answer.content.decode()
    assert answer.context["form"]["date_of_birth"].value() == "2013-03-09"
    assert answer.context["form"]["mother_height_cm"].value() == "soon"
    assert late(date_of_birth="2013-03-09", seen=answer.context["form"]["seen"].value()).status_code == 302
    patient.refresh_from_db()
    assert patient.date_of_birth == date(2013, 3, 9)


@pytest.mark.parametrize("seen", ["", "null", "[]", "{", '"F"'])
def test_a_form_that_does_not_say_what_it_showed_saves_nothing(late, patient, seen):
    answer = late(seen=seen, family_name="Roe")
    assert "Family name: <span" in answer.content.decode()
    patient.refresh_from_db()
    assert patient.family_name == "Doe"


def test_what_was_changed_back_meanwhile_is_no_change(as_user, alice, patient, edited, late):
    edited(as_user(alice), patient, sex="F", date_of_birth="2014-03-09", mother_height_cm="168")
    assert late(notes="").status_code == 302


def test_a_patient_is_archived_and_restored(as_user, alice, patient):
    client, path = as_user(alice), f"/patients/{patient.pk}/"
    page = client.post(f"{path}archive/", follow=True).content.decode()
    assert "Doe, Jane was archived." in page
    assert f"{path}restore/" in page
    assert not client.get("/patients/").context["page_obj"]
    page = client.post(f"{path}restore/", follow=True).content.decode()
    assert "Doe, Jane was restored." in page
    assert list(client.get("/patients/").context["page_obj"]) == [patient]
    assert [event for event in events() if event[0] != "view"] == [("archive", "Alice", ""), ("restore", "Alice", "")]


def test_a_patient_archived_twice_is_archived_once(as_user, alice, patient):
    client = as_user(alice)
    client.post(f"/patients/{patient.pk}/archive/")
    patient.refresh_from_db()
    first = patient.archived_at
    client.post(f"/patients/{patient.pk}/archive/")
    patient.refresh_from_db()
    assert patient.archived_at == first
    assert [verb for verb, *_ in events()] == ["archive"]


def test_who_opens_a_record_is_on_record(as_user, tess, patient):
    as_user(tess).get(f"/patients/{patient.pk}/")
    event = AccessEvent.objects.get()
    assert (event.verb, event.actor, event.patient_key) == ("view", tess, str(patient.pk))


def test_a_record_lists_the_studies_newest_first_and_the_family(as_user, alice, patient, mother):
    old, new = (StudyFactory(patient=patient, acquired_on=date(year, 5, 1)) for year in (2023, 2024))
    StudyFactory(patient=PatientFactory(hospital=patient.hospital))
    context = as_user(alice).get(f"/patients/{patient.pk}/").context
    assert list(context["studies"]) == [new, old]
    assert [guardian.user for guardian in context["guardians"]] == [mother]


@pytest.mark.parametrize("path", ["/patients/", "/patients/{0.pk}/"])
def test_an_age_on_a_page_is_in_completed_months(as_user, alice, patient, path):
    patient.date_of_birth = date.today() - timedelta(days=27)
    patient.save()
    MeasurementFactory(patient=patient, measured_on=date.today(), height_cm=52, weight_kg=4)
    page = as_user(alice).get(path.format(patient)).content.decode()
    assert "0 y 0 m" in page
    assert "0 y 1 m" not in page


@pytest.mark.parametrize("path", ["", "edit/", "upload/"])
def test_neither_name_nor_mrn_is_in_the_title_or_the_address(as_user, alice, patient, path):
    page = as_user(alice).get(f"/patients/{patient.pk}/{path}").content.decode()
    title = page.split("<title>")[1].split("</title>")[0]
    assert "Doe" not in title
    assert "A-1" not in title


@pytest.mark.parametrize("state", ["analysed", "cancelled"])
def test_a_birth_after_a_study_is_refused_and_leads_to_the_study(as_user, alice, patient, edited, state):
    study = StudyFactory(patient=patient, state=state, acquired_on=date(2024, 5, 1))
    said = errors(edited(as_user(alice), patient, date_of_birth="2024-06-01"))["date_of_birth"]
    assert "dated 2024-05-01, before this birth" in said
    assert f'<a href="/studies/{study.pk}/">open that study</a>' in said
