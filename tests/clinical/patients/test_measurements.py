from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from clinical.audit.models import AccessEvent
from clinical.growth.centiles import STANDING_LESS_CM
from clinical.patients.models import FormerMeasurement, Measurement
from tests.factories import FormerMeasurementFactory, MeasurementFactory, PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")

GIVEN = {"measured_on": "2024-05-01", "height_cm": "137.5", "weight_kg": "31.2", "source": "clinic"}


@pytest.fixture
def entered(as_user, alice, patient):
    """`entered(height_cm="140")`: the answer to Alice's entering GIVEN with these values instead."""

    def enter(**values):
        return as_user(alice).post(reverse("patients:add_measurement", args=[patient.pk]), GIVEN | values)

    return enter


@pytest.fixture
def measurement(patient, alice):
    return MeasurementFactory(patient=patient, entered_by=alice)


def changed(client, measurement, **values):
    """The answer to changing `measurement` by its own form."""
    path = reverse("patients:edit_measurement", args=[measurement.pk])
    seen = client.get(path).context["form"]["seen"].value()
    return client.post(path, GIVEN | {"seen": seen} | values)


def test_a_measurement_is_kept_with_its_date_its_source_and_who_entered_it(entered, patient, alice):
    assert entered(source="parents").status_code == 302
    kept = patient.measurements.get()
    assert (kept.height_cm, kept.weight_kg, kept.measured_on) == (137.5, 31.2, date(2024, 5, 1))
    assert (kept.source, kept.entered_by, kept.hospital) == ("parents", alice, patient.hospital)


def test_entering_changing_removing_and_putting_back_are_on_record(entered, as_user, alice, patient):
    entered()
    client, measurement = as_user(alice), patient.measurements.get()
    changed(client, measurement, height_cm="138")
    client.post(reverse("patients:remove_measurement", args=[measurement.pk]))
    former = patient.former_measurements.get(removed=True)
    client.post(reverse("patients:put_back_measurement", args=[former.pk]))
    events = AccessEvent.objects.filter(object_type="measurement", object_key=measurement.pk).order_by("pk")
    assert [event.verb for event in events] == ["create", "edit", "remove", "restore"]
    assert {(event.actor, event.patient_key) for event in events} == {(alice, str(patient.pk))}
    assert "138" not in "".join(event.detail for event in events)


def test_the_page_says_what_is_added_to_growth_over_the_second_birthday(as_user, alice, measurement):
    page = as_user(alice).get(reverse("patients:detail", args=[measurement.patient_id])).content.decode()
    assert f"two years, {STANDING_LESS_CM:g} cm are added" in " ".join(page.split())


@pytest.mark.parametrize("values", [{"height_cm": ""}, {"weight_kg": ""}])
def test_height_or_weight_alone_is_enough(entered, patient, values):
    assert entered(**values).status_code == 302
    assert patient.measurements.count() == 1


def test_neither_is_called_optional_for_one_is_needed(as_user, alice, patient):
    page = as_user(alice).get(reverse("patients:add_measurement", args=[patient.pk])).content.decode()
    assert "Height (cm)" in page
    assert "optional" not in page


def test_neither_height_nor_weight_is_refused_by_form_and_database(entered, patient):
    assert "Enter the height, the weight or both." in entered(height_cm="", weight_kg="").content.decode()
    with pytest.raises(IntegrityError):
        MeasurementFactory(patient=patient, height_cm=None, weight_kg=None)


@pytest.mark.parametrize(
    ("field", "typed", "meant"),
    [("height_cm", "1.375", "137.5"), ("height_cm", "1375", "137.5"), ("weight_kg", "31200", "31.2")],
)
def test_another_unit_is_recognised_and_the_right_one_offered(entered, patient, field, typed, meant):
    answer = entered(**{field: typed})
    assert answer.status_code == 422
    assert f"did you mean {meant} " in answer.content.decode()
    offered = answer.context["form"]
    assert offered[field].value() == meant
    assert not patient.measurements.exists()
    assert entered(**{field: offered[field].value()}).status_code == 302
    assert patient.measurements.get().height_cm == 137.5


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"height_cm": "0.1"}, "A height is given in cm, from 20 to 250."),
        ({"height_cm": "-140"}, "A height is given in cm, from 20 to 250."),
        ({"weight_kg": "450"}, "A weight is given in kg, from 0.3 to 400."),
        ({"height_cm": "nan"}, "Enter a number."),
        ({"height_cm": "140", "weight_kg": "380"}, "Nobody of this height has this weight."),
        ({"measured_on": "2014-03-08"}, "The date lies before the patient&#x27;s birth."),
        ({"measured_on": str(date.today() + timedelta(days=1))}, "The date lies in the future."),
        ({"measured_on": ""}, "This field is required."),
        ({"source": "a dream"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_is_refused_in_words(entered, patient, values, sentence):
    answer = entered(**values)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not patient.measurements.exists()


def test_the_day_of_birth_and_today_are_right(entered, patient):
    assert entered(measured_on="2014-03-09", height_cm="50", weight_kg="3.4").status_code == 302
    assert entered(measured_on=str(date.today()), height_cm="", weight_kg="40").status_code == 302
    assert patient.measurements.count() == 2


def test_more_than_five_sd_off_asks_once(entered, patient):
    answer = entered(height_cm="180")
    assert answer.status_code == 422
    assert "SD above the average at 10 y 1 m" in answer.content.decode()
    assert not patient.measurements.exists()
    assert entered(height_cm="180", confirmed="on").status_code == 302
    assert patient.measurements.get().height_cm == 180


def test_a_child_that_would_have_shrunk_asks(entered, patient):
    MeasurementFactory(patient=patient, measured_on=date(2023, 5, 1), height_cm=141)
    MeasurementFactory(patient=patient, measured_on=date(2025, 5, 1), height_cm=142)
    assert "On 01 May 2023 the height was 141 cm: the child would have shrunk." in entered().content.decode()
    assert "On 01 May 2025 the height was 142 cm" in entered(height_cm="145").content.decode()
    assert entered(height_cm="139.5").status_code == 302


@pytest.mark.parametrize(("other", "answer"), [(136.7, 302), (134.3, 302), (133, 422)])
def test_growth_since_the_height_before_that_no_child_has_asks_once(entered, patient, other, answer):
    MeasurementFactory(patient=patient, measured_on=date(2024, 3, 25), height_cm=other)
    MeasurementFactory(patient=patient, measured_on=date(2020, 3, 25), height_cm=100)
    given = entered()
    assert given.status_code == answer
    if answer == 422:
        assert "the height was 133 cm: no child grows 4.5 cm between the two days." in given.content.decode()
        assert entered(confirmed="on").status_code == 302


def test_growth_until_the_height_after_that_no_child_has_asks(entered, patient):
    MeasurementFactory(patient=patient, measured_on=date(2024, 6, 1), height_cm=145)
    assert "On 01 June 2024 the height was 145 cm: no child grows 7.5 cm" in entered().content.decode()


def test_a_young_child_born_preterm_is_asked_about_at_the_corrected_age(as_user, tess, preterm):
    client, path = as_user(tess), f"/patients/{preterm.pk}/measurements/new/"
    assert "lying down below two years of corrected age" in client.get(path).content.decode()
    asked = client.post(path, GIVEN | {"measured_on": "2022-12-01", "height_cm": "45", "weight_kg": ""})
    assert "below the average at 0 y 3 m, corrected for birth at 30+0 weeks." in asked.content.decode()
    assert not preterm.measurements.exists()


def test_a_weight_that_hardly_any_child_of_this_height_has_asks_once(entered, patient):
    thin = {"height_cm": "155", "weight_kg": "24"}  # neither is far from the average alone
    assert "A BMI of 10 kg/m² lies 7.1 SD below" in entered(**thin).content.decode()
    assert entered(**thin, confirmed="on").status_code == 302


def test_a_confirmation_does_not_let_the_impossible_in(entered, patient):
    assert entered(height_cm="1.375", confirmed="on").status_code == 422
    assert entered(height_cm="300", confirmed="on").status_code == 422
    assert not patient.measurements.exists()


def test_a_double_click_enters_one_measurement(entered, patient):
    entered()
    assert "on record already" in entered().content.decode()
    assert patient.measurements.count() == 1


def test_a_new_measurement_has_no_version_that_somebody_could_have_changed(entered):
    assert entered(seen="made up").status_code == 302


def test_an_edit_keeps_every_former_value_with_who_and_when(as_user, alice, tess, measurement):
    entered_at = measurement.entered_at
    changed(as_user(tess), measurement, height_cm="138.5")
    changed(as_user(alice), measurement, height_cm="139", source="records")
    measurement.refresh_from_db()
    assert (measurement.height_cm, measurement.source, measurement.entered_by) == (139, "records", alice)
    second, first = FormerMeasurement.objects.filter(measurement_key=measurement.pk)
    assert (first.height_cm, first.entered_by, first.entered_at, first.replaced_by) == (137.5, alice, entered_at, tess)
    assert (second.height_cm, second.entered_by, second.replaced_by) == (138.5, tess, alice)
    page = as_user(alice).get(reverse("patients:edit_measurement", args=[measurement.pk])).content.decode()
    assert page.index("138.5 cm") < page.index("137.5 cm")


def test_saving_without_a_change_writes_nothing(as_user, alice, measurement):
    assert changed(as_user(alice), measurement).status_code == 302
    assert not FormerMeasurement.objects.exists()
    assert not AccessEvent.objects.filter(verb="edit").exists()


def test_of_two_people_who_change_at_once_the_second_is_told(as_user, alice, tess, measurement):
    path = reverse("patients:edit_measurement", args=[measurement.pk])
    seen = as_user(alice).get(path).context["form"]["seen"].value()
    changed(as_user(tess), measurement, height_cm="138.5")
    answer = as_user(alice).post(path, GIVEN | {"seen": seen, "height_cm": "136"})
    assert answer.status_code == 422
    assert "it is 138.5 cm, 31.2 kg on 01 May 2024 now" in answer.content.decode()
    measurement.refresh_from_db()
    assert measurement.height_cm == 138.5
    again = {"seen": answer.context["form"]["seen"].value(), "height_cm": "136"}
    assert as_user(alice).post(path, GIVEN | again).status_code == 302


def test_what_was_removed_no_longer_counts_and_can_be_put_back(as_user, alice, tess, patient, measurement):
    client = as_user(tess)
    path = reverse("patients:remove_measurement", args=[measurement.pk])
    assert "Remove this measurement?" in client.get(path).content.decode()
    client.post(path)
    assert not patient.measurements.exists()
    page = client.get(reverse("patients:detail", args=[patient.pk]))
    [former] = page.context["removed_measurements"]
    assert "137.5 cm, 31.2 kg" in page.content.decode()
    for _ in range(2):  # a double click
        assert client.post(reverse("patients:put_back_measurement", args=[former.pk])).status_code == 302
    back = patient.measurements.get()
    assert (back.pk, back.height_cm, back.entered_by) == (measurement.pk, 137.5, alice)
    assert back.entered_at == measurement.entered_at
    assert client.get(reverse("patients:detail", args=[patient.pk])).context["removed_measurements"] == []


def test_whoever_changes_or_removes_what_a_colleague_has_removed_is_told_so(
    as_user, alice, tess, bob, patient, measurement
):
    paths = [reverse(f"patients:{verb}_measurement", args=[measurement.pk]) for verb in ("edit", "remove")]
    as_user(tess).post(paths[1])
    client = as_user(alice)
    for answer in [client.get(path, follow=True) for path in paths] + [
        client.post(path, follow=True) for path in paths
    ]:
        assert answer.redirect_chain == [(reverse("patients:detail", args=[patient.pk]), 302)]
        assert "Tess has removed this measurement. It can be put back from below the list." in answer.content.decode()
    assert FormerMeasurement.objects.count() == 1
    assert [as_user(bob).get(path).status_code for path in paths] == [404, 404]  # of another hospital


def test_what_is_dated_before_a_birth_corrected_meanwhile_is_not_put_back(as_user, tess, patient, edited):
    former = FormerMeasurementFactory(patient=patient, removed=True)
    client = as_user(tess)
    edited(client, patient, date_of_birth="2024-06-01")
    page = client.post(reverse("patients:put_back_measurement", args=[former.pk]), follow=True)
    assert page.status_code == 200
    assert "dated 01 May 2024, before the patient&#x27;s birth. Enter it anew" in page.content.decode()
    assert not patient.measurements.exists()


def test_what_was_entered_anew_meanwhile_is_not_put_back_beside_it(entered, as_user, alice, patient, measurement):
    client = as_user(alice)
    client.post(reverse("patients:remove_measurement", args=[measurement.pk]))
    former = patient.former_measurements.get(removed=True)
    entered()
    page = client.post(reverse("patients:put_back_measurement", args=[former.pk]), follow=True)
    assert "entered anew meanwhile: it is on record." in page.content.decode()
    assert patient.measurements.count() == 1


def test_values_that_were_edited_cannot_be_put_back(as_user, alice, measurement):
    changed(as_user(alice), measurement, height_cm="138.5")
    former = FormerMeasurement.objects.get()
    assert as_user(alice).post(reverse("patients:put_back_measurement", args=[former.pk])).status_code == 404
    measurement.refresh_from_db()
    assert measurement.height_cm == 138.5


def test_an_archived_patient_takes_no_measurement(entered, patient, as_user, alice):
    as_user(alice).post(reverse("patients:archive", args=[patient.pk]))
    assert "This patient is archived." in entered().content.decode()
    assert not patient.measurements.exists()


def test_of_an_archived_patient_nothing_is_removed_or_put_back(as_user, alice, patient, measurement):
    former = FormerMeasurementFactory(patient=patient, removed=True)
    client = as_user(alice)
    client.post(reverse("patients:archive", args=[patient.pk]))
    for name, row in (("remove_measurement", measurement), ("put_back_measurement", former)):
        page = client.post(reverse(f"patients:{name}", args=[row.pk]), follow=True)
        assert "Restore the record before you change its measurements." in page.content.decode()
        assert list(patient.measurements.all()) == [measurement]


def test_hidden_fields_cannot_move_a_measurement_to_another_patient(entered, patient, bob, other_hospital):
    stranger = PatientFactory(hospital=other_hospital)
    entered(patient=str(stranger.pk), hospital=str(other_hospital.pk), entered_by=str(bob.pk))
    kept = Measurement.objects.get()
    assert (kept.patient, kept.hospital, kept.entered_by.name) == (patient, patient.hospital, "Alice")


def test_a_birth_date_after_a_measurement_is_refused(as_user, alice, patient, measurement, edited):
    answer = edited(as_user(alice), patient, date_of_birth="2024-06-01")
    assert "A measurement of this patient is dated 2024-05-01" in answer.content.decode()


def test_the_page_costs_the_same_queries_for_one_measurement_as_for_many(
    as_user, alice, patient, measurement, django_assert_num_queries
):
    client, path = as_user(alice), reverse("patients:detail", args=[patient.pk])
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(path)
    for month in range(1, 9):
        MeasurementFactory(patient=patient, measured_on=date(2023, month, 1), height_cm=130 + month / 2)
    with django_assert_num_queries(len(one)):
        assert "134.0 cm" in client.get(path).content.decode()
