from datetime import date

from django import forms

from clinical.patients.models import Patient


class PatientForm(forms.ModelForm):
    class Meta:
        model = Patient
        fields = [
            "mrn",
            "family_name",
            "given_name",
            "sex",
            "date_of_birth",
            "mother_height_cm",
            "father_height_cm",
            "notes",
        ]
        widgets = {
            "date_of_birth": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "sex": forms.RadioSelect,
            "notes": forms.Textarea(attrs={"rows": 4}),
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["sex"].choices = Patient._meta.get_field("sex").choices

    def clean_mrn(self):
        mrn = self.cleaned_data["mrn"].strip()
        if Patient.objects.filter(mrn__iexact=mrn).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("This MRN belongs to another patient of the hospital. Check it.")
        return mrn

    def clean_date_of_birth(self):
        born = self.cleaned_data["date_of_birth"]
        if born > date.today():
            raise forms.ValidationError("The date of birth lies in the future.")
        if born.year < date.today().year - 100:
            raise forms.ValidationError("The date of birth lies more than 100 years back. Check the year.")
        first = None if self.instance._state.adding else self.instance.studies.order_by("acquired_on").first()
        if first and born > first.acquired_on:
            raise forms.ValidationError(f"A study of this patient is dated {first.acquired_on}, before this birth.")
        return born
