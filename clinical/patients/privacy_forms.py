from django import forms

from clinical.patients.models import Erasure, ErasureMode, Retention


class RetentionForm(forms.ModelForm):
    class Meta:
        model = Retention
        fields = ["years", "until_age"]


class ErasureForm(forms.ModelForm):
    """Asks for a reason, for the patient's MRN once more, and, while the record is retained, why it may go."""

    confirmation = forms.CharField(label="Type the patient's MRN", max_length=40)

    class Meta:
        model = Erasure
        fields = ["mode", "reason", "override"]
        widgets = {
            "mode": forms.RadioSelect,
            "reason": forms.Textarea(attrs={"rows": 2}),
            "override": forms.Textarea(attrs={"rows": 2}),
        }

    def __init__(self, *args, patient, until, **kwargs):
        super().__init__(*args, **kwargs)
        self.patient = patient
        modes = [ErasureMode.ERASE] if patient.anonymised_at else ErasureMode
        self.fields["mode"].choices = [(mode, mode.label) for mode in modes]
        self.fields["confirmation"].help_text = "So that it is surely the right one."
        if until is None:
            del self.fields["override"]
        else:
            self.fields["override"].label = f"Why before {until:%d %B %Y}"
            self.fields[
                "override"
            ].help_text = (
                "Signed reports must be kept until then. Fill this in only if the law allows it; it stays on record."
            )

    def clean_confirmation(self):
        if self.cleaned_data["confirmation"].strip() != self.patient.mrn:
            raise forms.ValidationError("This is not the MRN of this patient. Check that you are on the right page.")
        return self.patient.mrn
