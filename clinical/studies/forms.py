import uuid
from datetime import date

from django import forms

from clinical.growth.ages import in_words
from clinical.growth.bone_age import plates
from clinical.patients.queries import with_mrn
from clinical.studies.models import REASON_LENGTH, Method, Review
from clinical.studies.workflow import ARCHIVED
from inference.engine.imaging import MAX_BYTES


class UploadForm(forms.Form):
    """What the files of one upload share."""

    max_bytes = MAX_BYTES

    acquired_on = forms.DateField(
        label="Study date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Leave empty to take it from the DICOM file, or today.",
    )
    indication = forms.CharField(
        required=False, max_length=400, help_text="Why the radiograph was taken, e.g. short stature."
    )
    urgent = forms.BooleanField(required=False, label="Urgent: read before the others that wait")
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args, patient, **kwargs):
        super().__init__(*args, **kwargs)
        self.patient = patient

    def clean_acquired_on(self):
        day = self.cleaned_data["acquired_on"]
        return day and check_study_date(day, self.patient)


def check_study_date(day, patient):
    """Return `day`, or raise ValidationError when no study of `patient`, if they are known, can have that date."""
    if day > date.today():
        raise forms.ValidationError("The study date lies in the future.")
    if patient and day < patient.date_of_birth:
        raise forms.ValidationError("The study date lies before the patient's birth.")
    return day


class CorrectionForm(forms.Form):
    """The study date and the indication of a study; `seen` is what stood there when the form was opened."""

    acquired_on = forms.DateField(label="Study date", widget=UploadForm.base_fields["acquired_on"].widget)
    indication = UploadForm.base_fields["indication"]
    seen = forms.JSONField(widget=forms.HiddenInput)

    def __init__(self, *args, study, **kwargs):
        super().__init__(*args, **kwargs)
        self.patient = study.patient
        self.initial = {"acquired_on": study.acquired_on, "indication": study.indication}
        self.initial["seen"] = [study.acquired_on.isoformat(), study.indication]

    def clean_acquired_on(self):
        return check_study_date(self.cleaned_data["acquired_on"], self.patient)

    def clean_seen(self):
        try:
            day, indication = self.cleaned_data["seen"]
            return date.fromisoformat(day), str(indication)
        except (TypeError, ValueError):
            raise forms.ValidationError("Open this page anew, then correct the study.") from None


class BulkUploadForm(UploadForm):
    """The same for files of several patients, of whom none is known yet."""

    acquired_on = forms.DateField(
        label="Study date of files that give none",
        initial=date.today,
        widget=UploadForm.base_fields["acquired_on"].widget,
        help_text="A date in the file name or in the DICOM header goes before it.",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, patient=None, **kwargs)


class ReviewForm(forms.ModelForm):
    """A doctor's reading: the estimate accepted, a plate of the atlas, or years and months of one's own."""

    plate = forms.TypedChoiceField(label="Atlas plate", coerce=float, required=False, empty_value=None)
    years = forms.IntegerField(min_value=0, max_value=19, required=False)
    months = forms.IntegerField(min_value=0, max_value=11, required=False)
    seen = forms.UUIDField(widget=forms.HiddenInput, required=False)
    analysis = forms.UUIDField(widget=forms.HiddenInput, required=False)
    suggested = forms.CharField(widget=forms.HiddenInput, required=False)
    confirmed = forms.BooleanField(required=False, label="Yes: child, sex and date are right, and this is my reading")

    class Meta:
        model = Review
        fields = ["method", "impression", "comment"]
        widgets = {
            "method": forms.RadioSelect,
            "impression": forms.Textarea(attrs={"rows": 3}),
            "comment": forms.Textarea(attrs={"rows": 2}),
        }

    def __init__(self, *args, study, **kwargs):
        super().__init__(*args, **kwargs)
        self.study = study
        usable = study.analysis.bone_age_months is not None and study.estimate_is_of_this_sex
        self.fields["method"].choices = [choice for choice in Method.choices if usable or choice[0] != Method.AI]
        self.fields["plate"].choices = [("", "Choose a plate"), *((age, in_words(age)) for age in plates(study.sex))]
        for name in ("plate", "years", "months"):
            self.fields[name].one_is_needed = True  # by the method that shows them: none is called optional
        self.fields["impression"].required = False
        self.fields["impression"].help_text = "Left as it is, it follows the bone age you give."
        suggested = study.impression(study.bone_age_months) if study.bone_age_months is not None else ""
        self.initial.update(
            seen=study.review_id,
            analysis=study.analysis_id,
            suggested=suggested,
            method=Method.AI if usable else Method.OWN,
            impression=(study.review.own_impression if study.review else "") or suggested,
            comment=study.review.comment if study.review else "",
        )

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("analysis") not in (None, self.study.analysis_id):
            self.data = {**self.data.dict(), "analysis": self.study.analysis_id}  # sent again, it is meant
            raise forms.ValidationError(
                "Another version of the model has read this radiograph meanwhile. "
                "Look at its estimate, then keep your reading."
            )
        cleaned["bone_age_months"] = self._bone_age(cleaned)
        text = cleaned.get("impression", "").strip()
        if cleaned["bone_age_months"] is not None and text in ("", cleaned.get("suggested")):
            cleaned["impression"] = self.study.impression(cleaned["bone_age_months"])
        return cleaned

    def _bone_age(self, cleaned):
        match cleaned.get("method"):
            case Method.AI:
                return self.study.analysis.bone_age_months
            case Method.ATLAS:
                if cleaned.get("plate") is None and "plate" not in self.errors:
                    self.add_error("plate", "Choose the plate of the atlas that the radiograph is most like.")
                return cleaned.get("plate")
            case Method.OWN:
                years, months = cleaned.get("years"), cleaned.get("months")
                if years is None and months is None and not {"years", "months"} & self.errors.keys():
                    self.add_error("years", "Enter the bone age in years and months.")
                    return None
                return 12.0 * (years or 0) + (months or 0)
        return None


class ReasonForm(forms.Form):
    """Why a study is taken back or a report amended, in one line. An anonymised record takes no text, so it asks none.

    `about` says where the reason goes.
    """

    reason = forms.CharField(max_length=REASON_LENGTH)

    def __init__(self, *args, study, about, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = about
        if study.patient.anonymised_at:
            del self.fields["reason"]

    def clean_reason(self):
        return " ".join(self.cleaned_data["reason"].split())


class RefilingForm(ReasonForm):
    """Whose film it is instead, and why it was filed for another. `found` is the patient whom the page showed last."""

    mrn = forms.CharField(label="MRN of the right patient", max_length=40)
    acquired_on = CorrectionForm.base_fields["acquired_on"]
    indication = UploadForm.base_fields["indication"]
    found = forms.UUIDField(widget=forms.HiddenInput, required=False)

    field_order = ["mrn", "acquired_on"]  # which is judged by the patient

    def __init__(self, *args, study, **kwargs):
        super().__init__(*args, study=study, about="It stays with the study that is taken back.", **kwargs)
        self.study, self.patient = study, None
        self.initial = {"acquired_on": study.acquired_on, "indication": study.indication}
        self.initial["reason"] = "Filed for the wrong patient."

    def clean_mrn(self):
        mrn = self.cleaned_data["mrn"]
        self.patient = with_mrn(mrn)
        if self.patient is None:
            raise forms.ValidationError(f"No patient with the MRN {mrn}. Register the child first.")
        if self.patient == self.study.patient:
            raise forms.ValidationError("This is the patient for whom the film is filed now.")
        if self.patient.archived_at:
            raise forms.ValidationError(ARCHIVED)
        return mrn

    def clean_acquired_on(self):
        return check_study_date(self.cleaned_data["acquired_on"], self.patient)


class SignForm(forms.Form):
    """The signature, under the review that was read."""

    seen = forms.UUIDField(widget=forms.HiddenInput)
