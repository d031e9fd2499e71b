import pytest

from clinical.studies.models import Study
from inference.models import Analysis, ModelVersion, ShadowAnalysis
from tests.factories import StudyFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.mark.parametrize(("verb", "fits", "to"), [("retry", "failed", "queued"), ("cancel", "queued", "cancelled")])
def test_platform_staff_use_the_workflow_on_studies_of_any_hospital(as_user, patient, db, verb, fits, to):
    root = UserFactory(is_staff=True, is_superuser=True)
    fitting, other = StudyFactory(patient=patient, state=fits), StudyFactory(patient=patient, state="analysed")
    response = as_user(root).post(
        "/admin/studies/study/", {"action": verb, "_selected_action": [fitting.pk, other.pk]}, follow=True
    )
    assert "Done for 1 of 2 studies." in response.content.decode()
    assert Study.objects.get(pk=fitting.pk).state == to
    assert Study.objects.get(pk=other.pk).state == "analysed"


@pytest.mark.parametrize("number", ["abc", "nan", "inf", "-inf", "1e400", "9e30", "-99999999999999999999"])
@pytest.mark.parametrize("name", ["age_from", "sds_to"])
def test_a_filter_that_no_number_fits_is_left_out_and_says_so(as_user, patient, name, number):
    StudyFactory(patient=patient)
    root = UserFactory(is_staff=True, is_superuser=True)
    page = as_user(root).get("/admin/studies/study/", {name: number})
    assert "was left out: it is given as a number." in page.content.decode()
    assert page.context["cl"].result_count == 1


def test_studies_that_leave_the_filtered_list_by_what_was_done_are_counted(as_user, patient):
    root, study = UserFactory(is_staff=True, is_superuser=True), StudyFactory(patient=patient, state="failed")
    fields = {"action": "retry", "_selected_action": [study.pk]}
    response = as_user(root).post("/admin/studies/study/?state__exact=failed", fields, follow=True)
    assert "Done for 1 of 1 studies." in response.content.decode()


def test_numbers_are_rounded_with_their_unit_and_nothing_is_called_none(as_user, patient):
    client, study = (
        as_user(UserFactory(is_staff=True, is_superuser=True)),
        StudyFactory(patient=patient, state="analysed"),
    )
    values = {"bone_age_months": 31.900192, "low_months": 20.1, "high_months": 44.4, "milliseconds": 492.49964}
    Analysis.objects.filter(pk=study.analysis_id).update(**values)
    Study.objects.filter(pk=study.pk).update(sds=0.7228686)
    shadow = ShadowAnalysis.objects.create(
        analysis=study.analysis,
        model_version=ModelVersion.objects.create(name="m", version="2"),
        hospital=study.hospital,
        radiograph=study.analysis.radiograph,
        **values,
    )
    of_run = {"2 y 8 m (32 m)", "20 to 44 months", "492 ms"}
    expected = {study: {"+0.72"}, study.analysis: of_run, shadow: of_run}
    for row, shown in expected.items():
        text = client.get(f"/admin/{row._meta.label_lower.replace('.', '/')}/{row.pk}/change/").content.decode()
        assert {words for words in shown if words in text} == shown
        assert ">None<" not in text
    assert "2 y 8 m (32 m)" in client.get("/admin/inference/shadowanalysis/").content.decode()


def test_a_filter_without_its_upper_end_says_below(as_user, patient):
    StudyFactory(patient=patient)
    page = as_user(UserFactory(is_staff=True, is_superuser=True)).get("/admin/studies/study/")
    labels = {each.title: [label for _, label, _ in each.fields] for each in page.context["cl"].filter_specs[4:7:2]}
    assert labels == {"SDS": ["From", "Below"], "age (completed years)": ["From", "To"]}
