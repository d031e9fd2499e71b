"""What stands in the PDF, read back out of it."""

import base64
import io
import re
import unicodedata
from datetime import date

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from PIL import Image
from pypdf import PdfReader

from clinical.accounts.logo import keep_logo
from clinical.growth import centiles
from clinical.patients.models import Measurement
from clinical.studies import intake, workflow
from clinical.studies.models import Study
from inference.engine import read_radiograph
from reports import chart, pictures
from reports.content import Reading, of_draft, of_report
from reports.models import Report
from reports.pdf import render
from tests import radiograph_files
from tests.factories import PatientFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def pages_of(pdf):
    reader = PdfReader(io.BytesIO(pdf))
    return [unicodedata.normalize("NFKC", page.extract_text()) for page in reader.pages]


def text_of(pdf):
    return " ".join(" ".join(pages_of(pdf)).split())


def printed(study):
    """The text of the report of a signed study."""
    return text_of(render(of_report(Report.objects.current(Study.objects.get(pk=study.pk)))))


def test_the_report_holds_what_a_reader_asks_for(signed, patient, hospital):
    hospital.address = "12 Garden Street\nVienna"
    hospital.save()
    study = signed(patient, indication="Short stature", impression="Bone age fits the age.", comment="See in a year.")
    report = Report.objects.get()
    text = printed(study)
    for expected in (
        "St. Anna Children's Hospital",
        "12 Garden Street",
        "Doe, Jane",
        "A-1",
        "9 March 2014, female",
        "1 May 2024",
        "Short stature",
        "left hand and wrist, posteroanterior",
        "10 y 6 m",
        "10 y 1 m",
        "AI estimate, accepted by the doctor (two_stage_compact, version 1.2.3)",
        "90 % interval 9 y 6 m to 11 y 7 m",
        "Brush Foundation, female",
        "mean 10 y 7 m (127 m), SD 11.8 months",
        "SDS −0.12",
        "Normal",
        "Bone age fits the age.",
        "See in a year.",
        "Where the model looked; not diagnostic",
        "Not for diagnosis without review by a physician.",
        "signed electronically by Alice",
        report.number,
        "Version 1",
        report.code,
        "http://localhost:8000/verify/",
        "Page 1 of 1",
    ):
        assert expected in text, expected
    assert "DRAFT" not in text
    assert "Comparison" not in text


def test_a_report_tells_that_a_right_hand_was_read_mirrored(signed, patient):
    study = signed(patient)
    assert "read mirrored" not in printed(study)
    study.analysis.mirrored = True
    study.analysis.save()
    text = printed(study)
    assert "It was read mirrored: it looked like a right hand." in text
    assert "Check that it is the hand that was meant" not in text  # that is for whoever reads it, before it is signed


def test_the_warning_stands_at_the_ai_estimate_not_at_the_doctors_value(signed, patient):
    text = printed(signed(patient, method="own", read=108.0))
    assert text.index("Not for diagnosis without review") < text.index("Doctor's value")


def test_the_ai_estimate_and_the_doctors_value_both_stand_when_they_differ(signed, patient):
    text = printed(signed(patient, method="own", read=108.0, impression="Delayed."))
    assert "Read by the doctor" in text
    assert "differs from the AI estimate" in text
    assert "9 y 0 m" in text
    assert "10 y 6 m" in text


def test_a_report_stands_on_the_review_that_was_signed(signed, patient, alice, amended):
    signed(patient, impression="The first.")
    first = Report.objects.get()
    amended(first)
    assert "The first." in text_of(render(of_report(first)))


def test_the_letterhead_of_a_corrected_report_says_which_version_it_replaces(signed, patient, amended):
    signed(patient)
    first = Report.objects.get()
    second = text_of(render(of_report(amended(first))))
    assert "Version 2, replaces version 1" in second
    assert "Amended: Another child." in second
    first.refresh_from_db()
    assert "Amended" not in text_of(render(of_report(first)))


def test_a_radiograph_that_the_model_refused_is_reported_without_an_estimate(signed, patient):
    study = signed(patient, method="own", read=100.0)
    analysis = study.analysis
    analysis.bone_age_months = analysis.low_months = analysis.high_months = None
    analysis.reason, analysis.heat_map = "No hand was found.", ""
    analysis.save()
    text = printed(study)
    assert "None. No hand was found." in text
    assert "Where the model looked" not in text


def test_outside_the_reference_table_the_report_says_why_there_is_no_sds(signed, patient):
    patient.date_of_birth = date(2005, 1, 1)
    patient.save()
    text = printed(signed(patient, bone_age_months=216.0))
    assert "Indeterminate" in text
    assert "No SDS is given" in text


@pytest.mark.parametrize(("born", "is_said"), [(date(2022, 6, 1), True), (date(2021, 4, 1), False)])
def test_under_three_years_the_report_says_that_a_preterm_birth_is_not_corrected_for(signed, patient, born, is_said):
    patient.date_of_birth = born
    patient.save()
    assert ("is not corrected for a preterm birth." in printed(signed(patient, bone_age_months=24.0))) is is_said


def test_a_corrected_age_is_printed_beside_the_chronological_one_and_judges(signed, preterm, alice):
    fields = {"hospital": preterm.hospital, "patient": preterm, "entered_by": alice}
    Measurement.objects.create(measured_on=date(2024, 4, 20), height_cm=78.0, **fields)
    signed(preterm, bone_age_months=14.0, acquired_on=date(2023, 11, 1))
    study = signed(preterm, bone_age_months=20.0)
    text = printed(study)
    assert "Chronological age 1 y 11 m 23 months corrected 1 y 8 m for birth at 30+0 weeks" in text
    assert "±0 m bone age minus corrected age" in text
    assert "Brush Foundation, female, at 1 y 8 m: mean" in text
    assert "Judged by the age corrected for birth at 30+0 weeks, 1 y 8 m." in text
    assert "at 1 y 8 m, corrected for birth at 30+0 weeks)" in text  # of the height
    assert "1 y 2 m*" in text  # in the comparison
    assert "* Age corrected for birth at 30+0 weeks, until three years." in text
    report = of_report(Report.objects.current(study))
    assert [reading.sds for reading in report["readings"]][1] == report["assessment"].sds
    assert report["growth"]["height"] == centiles.assess("height", 78.0, preterm.age_on(date(2024, 4, 20)), "F", "30+0")


def test_of_a_birth_at_term_the_report_says_nothing(signed, preterm):
    preterm.gestational_age = "39+0"
    preterm.save()
    text = printed(signed(preterm, bone_age_months=20.0))
    assert "orrected" not in text
    assert "bone age minus age" in text


def test_the_greulich_pyle_table_is_named_where_the_hospital_chose_it(signed, patient, hospital):
    hospital.bone_age_reference = "greulich_pyle"
    hospital.save()
    text = printed(signed(patient))
    assert "Greulich-Pyle, female" in text
    assert "Brush" not in text


def test_the_side_is_the_one_that_the_file_gives(signed, patient):
    picture = read_radiograph(radiograph_files.dicom(ImageLaterality="R"))
    notices = intake.mismatches(picture, patient, date(2024, 5, 1))
    assert "Radiograph of the right hand" in printed(signed(patient, notices=notices))


def test_earlier_signed_studies_are_compared_and_others_are_not(signed, analysed, reviewed, patient):
    signed(patient, bone_age_months=100.0, acquired_on=date(2022, 5, 1))
    signed(patient, bone_age_months=112.0, acquired_on=date(2023, 5, 1))
    analysed(patient, bone_age_months=55.0, acquired_on=date(2023, 6, 1))
    reviewed(patient, bone_age_months=56.0, acquired_on=date(2023, 7, 1))
    signed(patient, bone_age_months=200.0, acquired_on=date(2024, 6, 1))
    study = signed(patient, bone_age_months=124.0, acquired_on=date(2024, 5, 1))
    readings = of_report(Report.objects.current(study))["readings"]
    assert [reading.bone_age_months for reading in readings] == [100.0, 112.0, 124.0]
    assert [reading.velocity for reading in readings] == [None, pytest.approx(1.0), pytest.approx(1.0)]
    text = printed(study)
    assert "Comparison with earlier studies" in text
    assert "1 May 2022" in text


def test_a_height_of_the_time_gives_a_predicted_adult_height_with_its_method(signed, patient, alice):
    patient.mother_height_cm, patient.father_height_cm = 165, 180
    patient.save()
    fields = {"hospital": patient.hospital, "patient": patient, "entered_by": alice}
    Measurement.objects.create(measured_on=date(2024, 4, 20), height_cm=138.0, **fields)
    Measurement.objects.create(measured_on=date(2021, 4, 20), height_cm=110.0, **fields)
    text = printed(signed(patient))
    assert "138.0 cm on 20 April 2024" in text
    assert "by Bayley and Pinneau, average maturity" in text
    assert "Target height from the parents' heights: 166.0 cm" in text


def test_a_height_of_another_time_is_left_out(signed, patient, alice):
    Measurement.objects.create(
        hospital=patient.hospital, patient=patient, measured_on=date(2022, 4, 20), height_cm=120.0, entered_by=alice
    )
    assert "120.0 cm" not in printed(signed(patient))


def test_a_draft_says_so_on_every_page(reviewed, patient):
    study = reviewed(patient, comment="A line of many.\n" * 200)
    pages = pages_of(render(of_draft(study)))
    assert len(pages) > 1
    for number, page in enumerate(pages, 1):
        assert "DRAFT" in page
        assert "not signed" in page
        assert f"Page {number} of {len(pages)}" in page


def test_a_draft_that_nobody_has_read_says_that_too(analysed, patient):
    assert "not yet reviewed by a doctor" in text_of(render(of_draft(analysed(patient))))


@pytest.mark.parametrize(
    "name",
    ["النجار", "אברהם", "Παπαδόπουλος", "Жуковский", "Հակոբյան", "Łącki-Ñuñez", "山田太郎", "陳大文", "김철수"],
)
def test_a_name_of_any_of_these_scripts_is_printed_in_its_letters(signed, hospital, name):
    study = signed(PatientFactory(hospital=hospital, family_name=name, given_name=""))
    text = printed(study)
    assert [letter for letter in name if letter not in text] == []


def test_a_letter_that_no_font_has_leaves_the_log_without_the_name(signed, hospital, caplog, capfd):
    printed(signed(PatientFactory(hospital=hospital, family_name="विक्रम", given_name="ไทย", mrn="MRN-77")))
    assert caplog.text == ""
    assert "विक्रम" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", ["विक्रम", "ไทย", "Rai विक्रम", "ｱｷﾗ"])
def test_a_name_that_no_font_has_is_not_left_out_without_a_word(signed, hospital, name):
    text = printed(signed(PatientFactory(hospital=hospital, family_name=name, given_name="")))
    assert text.count("name in a script this report cannot print; see the MRN") == 2  # on top, and at the foot
    assert "Rai" not in text


def test_accents_and_syllables_in_parts_are_printed_whole(signed, hospital):
    name = unicodedata.normalize("NFD", "Łącki 김철수")
    assert "Łącki 김철수" in printed(signed(PatientFactory(hospital=hospital, family_name=name, given_name="")))


def test_a_letter_that_no_font_has_is_a_box_in_other_text(signed, patient):
    assert "See ไ" not in (text := printed(signed(patient, comment="See ไ.")))
    assert "See □." in text


def test_a_name_of_200_letters_breaks_into_lines_of_its_column(signed, hospital):
    name = "Wolfeschlegelsteinhausenbergerdorff" * 5 + "x" * 25
    study = signed(PatientFactory(hospital=hospital, family_name=name, given_name="", mrn="M" * 40))
    pdf = render(of_report(Report.objects.current(study)))
    reach = []
    for page in PdfReader(io.BytesIO(pdf)).pages:
        page.extract_text(visitor_text=lambda text, cm, tm, font, size: reach.append((tm[4], text)))
    lines = [text for left, text in reach if text.strip() and set(text.strip()) <= set(name)]
    assert max(map(len, lines)) < 60
    assert name in "".join(line.strip() for line in lines)


def test_markup_in_a_name_is_printed_and_never_obeyed(signed, hospital):
    hostile = "<img src='file:///etc/passwd'><pdf:toc>{{ x }}"
    study = signed(PatientFactory(hospital=hospital, family_name=hostile, given_name=""))
    assert "<img src='file:///etc/passwd'><pdf:toc>{{ x }}".replace(" ", "") in printed(study).replace(" ", "")


@pytest.mark.parametrize(("paper", "size"), [("a4", (595, 842)), ("letter", (612, 792))])
def test_the_paper_is_the_hospitals(signed, patient, hospital, paper, size):
    hospital.paper = paper
    hospital.save()
    pdf = render(of_report(Report.objects.current(signed(patient))))
    box = PdfReader(io.BytesIO(pdf)).pages[0].mediabox
    assert (round(box.width), round(box.height)) == size


def test_every_font_is_embedded(signed, patient):
    pdf = render(of_report(Report.objects.current(signed(patient))))
    fonts = PdfReader(io.BytesIO(pdf)).pages[0]["/Resources"]["/Font"]
    used = {font.get_object()["/BaseFont"] for font in fonts.values()}
    # Helvetica is declared on every page that reportlab makes; no text is set in it.
    assert {name.split("+")[-1] for name in used} - {"/Helvetica"} <= {
        "DejaVuSansCondensed",
        "DejaVuSansCondensed-Bold",
    }
    assert all("+" in name for name in used - {"/Helvetica"})


def test_pictures_are_small_however_large_the_radiograph(signed, patient):
    study = signed(patient, radiograph__width=3000)
    storage = storages["private"]
    storage.delete(study.radiograph.name)
    large = radiograph_files.png(radiograph_files.hand(2000, 2500))
    storage.save(study.radiograph.name, ContentFile(large))
    pdf = render(of_report(Report.objects.current(study)))
    assert len(pdf) < 300_000
    sizes = [image.image.size for image in PdfReader(io.BytesIO(pdf)).pages[0].images]
    assert max(max(size) for size in sizes) <= pictures.LONGEST_SIDE


def test_the_logo_is_in_the_letterhead_and_a_lost_one_is_left_out(hospital):
    assert pictures.logo(hospital) is None
    hospital.logo = keep_logo(Image.new("RGBA", (400, 100), "red"))
    assert (pictures.logo(hospital).width, pictures.logo(hospital).height) == (190, 48)
    storages["private"].delete(hospital.logo)
    assert pictures.logo(hospital) is None


def test_the_attention_map_colours_the_radiograph_where_it_is_strong(analysed, patient):
    study = analysed(patient)
    rgba = np.zeros((100, 80, 4), np.uint8)
    rgba[50:, :] = (255, 0, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    name = storages["private"].save("heat-maps/half.png", ContentFile(buffer.getvalue()))
    source = pictures.attention(study.radiograph, name).source
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(int)
    top, bottom = shown[: len(shown) // 3], shown[-len(shown) // 3 :]
    assert np.abs(top[..., 0] - top[..., 2]).mean() < 3
    assert bottom[..., 0].mean() > 200 > 60 > bottom[..., 2].mean()


@pytest.mark.parametrize("ages", [(-2.3, 1.0), (1.0, 2.0), (30.0, 30.0), (100.0, 112.0, 124.0), (150.0, 230.0)])
@pytest.mark.parametrize("reference", ["brush", "greulich_pyle"])
def test_the_chart_keeps_every_reading_inside_its_axes(ages, reference):
    readings = [Reading(date(2024, 1, 1), age, max(0, age - 30), None) for age in ages]
    first, last = chart._years(ages)
    assert last - first >= chart.SHORTEST_YEARS
    drawn = chart.svg("F", reference, readings)
    assert drawn.count("<circle") == len(ages)
    points = [float(number) for number in re.findall(r'c[xy]="([\d.]+)"', drawn)]
    assert all(chart.LEFT <= x <= chart.WIDTH - chart.RIGHT for x in points[::2])
    assert all(chart.TOP <= y <= chart.HEIGHT - chart.BOTTOM for y in points[1::2])


@pytest.mark.parametrize("reference", ["brush", "greulich_pyle"])
def test_the_chart_is_drawn_of_readings_of_one_whole_year_beyond_the_table(reference):
    grown = [Reading(date(2023, 1, 2), 228.0, 216.0, None), Reading(date(2023, 7, 2), 234.0, 216.0, None)]
    assert chart.svg("F", reference, grown).count("<circle") == 2


def test_the_name_of_the_signer_stands_even_when_another_read(reviewed, patient):
    study = reviewed(patient)
    chief = UserFactory(name="Chief Charlie")
    workflow.sign(study, chief, seen=study.review_id)
    text = printed(study)
    assert "signed electronically by Chief Charlie" in text
    assert "Reading by Alice" in text
