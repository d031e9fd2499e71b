import importlib
from datetime import date

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical.patients.models import Patient
from tests.factories import PatientFactory, StudyFactory


@pytest.fixture
def find(as_user, alice):
    """The rows that Alice finds, by family name."""
    client = as_user(alice)

    def rows(**query):
        response = client.get("/patients/", query)
        assert response.status_code == 200
        return [patient.family_name for patient in response.context["page_obj"]]

    return rows


@pytest.fixture
def four(hospital):
    """Four patients: Adams, Baker, Clark and the archived Davis."""

    def patient(family_name, **fields):
        return PatientFactory(hospital=hospital, family_name=family_name, **fields)

    return [
        patient("Baker", given_name="Anna Lena", mrn="X-3", sex="F", date_of_birth=date(2012, 1, 1)),
        patient("Adams", given_name="Ben", mrn="X-2", sex="M", date_of_birth=date(2016, 1, 1)),
        patient("Clark", given_name="Chloe", mrn="X-1", sex="F", date_of_birth=date(2014, 1, 1)),
        patient("Davis", given_name="Dan", mrn="Y-9", sex="M", archived_at=timezone.now()),
    ]


def test_patients_are_listed_by_name_without_the_archived(find, four):
    assert find() == ["Adams", "Baker", "Clark"]


def test_patients_of_another_hospital_are_not_listed(find, four, other_hospital):
    PatientFactory(hospital=other_hospital, family_name="Baker")
    assert find(q="Baker") == ["Baker"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("baker", ["Baker"]),
        ("Baker, Anna", ["Baker"]),
        ("lena bak", ["Baker"]),
        ("x-1", ["Clark"]),
        ("X-", ["Adams", "Baker", "Clark"]),
        ("anna clark", []),
        ("davis", []),
        ("%", []),
        ("’", []),
        (",", []),
        ("  ", ["Adams", "Baker", "Clark"]),
    ],
)
def test_every_word_of_a_search_is_found_in_the_names_or_the_mrn(find, four, words, found):
    assert find(q=words) == found


@pytest.mark.parametrize(
    ("family_name", "given_name", "words"),
    [
        ("İğdişoğlu", "Işıl", ["iğdişoğlu", "İĞDİŞOĞLU", "igdisoglu", "ISIL", "ışıl"]),
        ("Çağrı", "", ["ÇAĞRI", "cagri", "çağrı"]),
        ("Ñandú", "Siobhán", ["nandu", "siobhan", "n\u0303andu\u0301", "ÑANDÚ"]),
        ("O'Brien", "Łukasz", ["O’Brien", "obrien", "O\u00b4Brien", "lukasz"]),
        ("O’Brien", "", ["O'Brien"]),
        ("王", "小明", ["王小明", "小明王", "王 小明", "王\uff0c小明", "明"]),
        ("Groß", "", ["gross", "GROSS"]),
        ("النَّجار", "", ["النجار"]),
        ("Kaya", "", ["x-7"]),
    ],
)
def test_a_name_is_found_however_it_is_typed(find, hospital, family_name, given_name, words):
    PatientFactory(hospital=hospital, family_name=family_name, given_name=given_name, mrn="X-7")
    PatientFactory(hospital=hospital, family_name="Michele", given_name="Nancy")
    for word in words:
        assert find(q=word) == [family_name], word


def test_the_end_of_one_name_and_the_start_of_another_are_no_name(find, hospital):
    PatientFactory(hospital=hospital, family_name="Michele", given_name="Nancy")
    assert find(q="elena") == []


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("update_fields", [None, ["given_name"]])
def test_a_name_that_is_changed_is_found_by_what_it_is_now(find, patient, update_fields):
    patient.given_name = "Zoë"
    patient.save(update_fields=update_fields)
    assert (find(q="zoe"), find(q="jane")) == (["Doe"], [])


@pytest.mark.usefixtures("unscoped")
def test_patients_from_before_the_column_are_found_after_the_migration(find, patient):
    Patient.objects.update(search_text="")
    importlib.import_module("clinical.patients.migrations.0006_search_text").fill(apps, None)
    assert find(q="doe jane a-1") == ["Doe"]


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("archived", [{}, {"archived": "false"}])
def test_where_only_an_archived_patient_fits_the_page_leads_there(as_user, alice, four, archived):
    client = as_user(alice)
    page = client.get("/patients/", {"q": "davis"} | archived).content.decode()
    assert '<a href="?q=davis&amp;archived=true">' in page
    assert "Among the archived" not in client.get("/patients/", {"q": "nobody"}).content.decode()
    Patient.objects.update(archived_at=timezone.now())
    assert "Among the archived" in client.get("/patients/", archived).content.decode()
    assert "Among the archived" not in client.get("/patients/", {"q": "x", "archived": "true"}).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"sex": "F"}, ["Baker", "Clark"]),
        ({"sex": "M", "archived": "false"}, ["Adams"]),
        ({"archived": "true"}, ["Davis"]),
        ({"archived": "true", "sex": "F"}, []),
        ({"sex": "", "q": ""}, ["Adams", "Baker", "Clark"]),
    ],
)
def test_filters(find, four, query, found):
    assert find(**query) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["Adams", "Baker", "Clark"]),
        ("-name", ["Clark", "Baker", "Adams"]),
        ("mrn", ["Clark", "Adams", "Baker"]),
        ("born", ["Baker", "Clark", "Adams"]),
        ("-born", ["Adams", "Clark", "Baker"]),
        ("-studies", ["Clark", "Baker", "Adams"]),
        ("studies", ["Adams", "Baker", "Clark"]),
        ("last", ["Clark", "Baker", "Adams"]),  # whoever has no study comes last either way
        ("-last", ["Baker", "Clark", "Adams"]),
    ],
)
def test_sorting(find, four, sort, order):
    baker, _, clark, _ = four
    for patient, days in ((baker, [9]), (clark, [3, 5])):
        for day in days:
            StudyFactory(patient=patient, acquired_on=date(2024, 5, day))
    assert find(sort=sort) == order


def test_a_name_from_right_to_left_stays_in_its_place_and_no_word_is_broken(as_user, alice, hospital):
    PatientFactory(hospital=hospital, family_name="النجار", given_name="")
    page = as_user(alice).get("/patients/").content.decode()
    assert "><bdi>النجار</bdi></a>" in page
    assert '<td class="nowrap" data-label="Sex">Female</td>' in page


def test_a_row_says_how_many_studies_there_are_and_when_the_last_was(as_user, alice, four):
    for day in (3, 5):
        StudyFactory(patient=four[0], acquired_on=date(2024, 5, day))
    [row] = as_user(alice).get("/patients/", {"q": "baker"}).context["page_obj"]
    assert (row.study_count, row.last_study_on) == (2, date(2024, 5, 5))


def test_a_withdrawn_study_counts_for_nothing(as_user, alice, patient):
    StudyFactory(patient=patient, state="cancelled")
    [row] = as_user(alice).get("/patients/").context["page_obj"]
    assert (row.study_count, row.last_study_on) == (0, None)


@pytest.fixture
def thirty(hospital):
    return [PatientFactory(hospital=hospital, family_name=f"Family{number:02}") for number in range(30)]


def test_a_long_list_comes_in_pages_and_every_patient_is_on_one(find, thirty):
    first, second = find(page=1), find(page=2)
    assert (len(first), len(second)) == (25, 5)
    assert first + second == [patient.family_name for patient in thirty]


def test_the_pages_keep_search_and_order(as_user, alice, thirty):
    page = as_user(alice).get("/patients/", {"q": "family", "sort": "-born"}).content.decode()
    links = [part.split('"')[0] for part in page.split('href="')[1:] if "page=2" in part.split('"')[0]]
    assert links
    assert all("q=family" in link and "sort=-born" in link for link in links)


@pytest.mark.parametrize(
    "query",
    [
        {"page": "abc", "sort": "evil", "sex": "X"},
        {"page": "-1", "sort": "--name"},
        {"page": "9" * 30, "sort": "-"},
        {"page": "0", "sort": "hospital__name"},
        {"archived": "maybe", "sex": "FM"},
        {"q": "\0"},
        {"q": "a " * 500},
        {"q": "'; DROP TABLE patients_patient; --"},
        {"q": "د. النجار"},
        {"sort": ["name", "evil"], "page": ["1", "x"]},
    ],
)
def test_a_query_string_that_makes_no_sense_is_still_answered(find, thirty, query):
    find(**query)


def test_a_page_beyond_the_last_is_the_last(find, thirty):
    assert find(page=99) == find(page=2)


@pytest.mark.parametrize("path", ["/patients/", "/patients/{pk}/"])
def test_the_number_of_queries_does_not_grow_with_the_rows(as_user, alice, patient, path):
    client = as_user(alice)

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(path.format(pk=patient.pk)).status_code == 200
        return len(captured)

    def grow(rows):
        for _ in range(rows):
            StudyFactory(patient=patient)
            StudyFactory(patient=PatientFactory(hospital=patient.hospital))

    grow(3)
    few = queries()
    grow(21)
    assert queries() == few
