import uuid
from datetime import date

from django import forms


class UploadForm(forms.Form):
    """What the files of one upload share."""

    acquired_on = forms.DateField(
        label="Study date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Leave empty to take it from the DICOM file, or today.",
    )
    indication = forms.CharField(
        required=False, max_length=400, help_text="Why the radiograph was taken, e.g. short stature."
    )
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args, patient, **kwargs):
        super().__init__(*args, **kwargs)
        self.patient = patient

    def clean_acquired_on(self):
        day = self.cleaned_data["acquired_on"]
        return day and check_study_date(day, self.patient)


def check_study_date(day, patient):
    """Return `day`, or raise ValidationError when no study of `patient` can have that date."""
    if day > date.today():
        raise forms.ValidationError("The study date lies in the future.")
    if day < patient.date_of_birth:
        raise forms.ValidationError("The study date lies before the patient's birth.")
    return day
