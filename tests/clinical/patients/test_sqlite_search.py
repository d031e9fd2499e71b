import sqlite3

import pytest

from clinical.patients.sqlite_search import like
from tests.factories import PatientFactory


@pytest.mark.parametrize("pattern", ["%b%", "b%", "%b", "b", "%", "_b%", "a_c", "%\\%%", "\\_%", "%\\\\%", "", "%a%c%"])
@pytest.mark.parametrize("value", ["abc", "ABC", "b", "", "5 %", "_x", "back\\slash", "line\nb", None, 12])
def test_ascii_is_compared_as_by_sqlite_itself(pattern, value):
    [[expected]] = sqlite3.connect(":memory:").execute("SELECT ? LIKE ? ESCAPE '\\'", [value, pattern])
    assert like(pattern, value, "\\") == (None if expected is None else bool(expected))


@pytest.mark.parametrize("words", ["ÖZGÜR", "özgür", "Özg", "łuk", "ŁUKASZ", "ωραία"])
def test_names_are_found_whatever_the_case_of_their_letters(as_user, alice, hospital, words):
    PatientFactory(hospital=hospital, family_name="Özgür", given_name="Łukasz Ωραία")
    PatientFactory(hospital=hospital, family_name="Baker")
    page = as_user(alice).get("/patients/", {"q": words}).content.decode()
    assert "Özgür" in page
    assert "Baker" not in page
