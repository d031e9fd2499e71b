import json
from datetime import date

from django import forms
from django.urls import reverse
from django.utils.html import format_html

from clinical.growth import centiles
from clinical.growth.ages import completed, in_words
from clinical.growth.preterm import months_early
from clinical.growth.velocity import most_growth
from clinical.patients.models import ADULT_HEIGHT, Measurement, Patient

MEASURES = {"height_cm": "height", "weight_kg": "weight"}
OTHER_UNITS = {"height": (100, 0.1), "weight": (0.001,)}  # from metres and millimetres; from grams
DOUBTFUL_SD = 5
MEASURING_ERROR_CM = 2


class PatientForm(forms.ModelForm):
    """A patient's record. Of two people who change it at once the second is told what the first has changed.

    Of a new one who may be on record already, as `alike`, it asks once whether it is the same child.
    """

    confirmed = forms.BooleanField(required=False, label="No: this is another child, to be recorded too")
    seen = forms.JSONField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Patient
        fields = [
            "mrn",
            "family_name",
            "given_name",
            "sex",
            "date_of_birth",
            "gestational_age",
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
        self.alike = []
        self.changed_meanwhile = {}  # label -> what the record says now, in words
        self.now = {name: _as_text(self.initial.get(name)) for name in self._meta.fields}
        self.initial["seen"] = self.now

    def clean_mrn(self):
        mrn = self.cleaned_data["mrn"].strip()
        other = Patient.objects.filter(mrn__iexact=mrn).exclude(pk=self.instance.pk).first()
        if other:
            raise forms.ValidationError(
                format_html(
                    "This MRN belongs to another patient of the hospital. "
                    'Check it, or <a href="{}">open that record</a>.',
                    reverse("patients:detail", args=[other.pk]),
                )
            )
        return mrn

    def clean_date_of_birth(self):
        born = self.cleaned_data["date_of_birth"]
        if born > date.today():
            raise forms.ValidationError("The date of birth lies in the future.")
        if born.year < date.today().year - 100:
            raise forms.ValidationError("The date of birth lies more than 100 years back. Check the year.")
        first = None if self.instance._state.adding else self.instance.studies.order_by("acquired_on").first()
        if first and born > first.acquired_on:
            raise forms.ValidationError(
                format_html(
                    "A study of this patient is dated {}, before this birth. "
                    'Check both, or <a href="{}">open that study</a> to correct its date.',
                    first.acquired_on,
                    reverse("studies:detail", args=[first.pk]),
                )
            )
        first = None if self.instance._state.adding else self.instance.measurements.order_by("measured_on").first()
        if first and born > first.measured_on:
            raise forms.ValidationError(
                f"A measurement of this patient is dated {first.measured_on}, before this birth."
            )
        return born

    def clean(self):
        cleaned = super().clean()
        for field in ("mother_height_cm", "father_height_cm"):
            if (value := cleaned.get(field)) is not None and not _of_an_adult(value):
                _offer(self, field, "height", value, _of_an_adult)
        if self.instance._state.adding:
            self._ask_whether_known(cleaned)
        elif cleaned.get("seen") != self.now:
            self._refuse_what_is_late(cleaned)
        return cleaned

    def _ask_whether_known(self, cleaned):
        if {"family_name", "date_of_birth"} <= cleaned.keys():
            self.alike = Patient.objects.filter(
                family_name__iexact=cleaned["family_name"], date_of_birth=cleaned["date_of_birth"], anonymised_at=None
            )
        if self.alike and not cleaned["confirmed"] and not self.errors:
            raise forms.ValidationError("This child may be on record already. Please check below.")

    def _refuse_what_is_late(self, cleaned):
        seen = cleaned.get("seen")
        seen = seen if isinstance(seen, dict) else {}
        _refill(self, "seen", json.dumps(self.now))
        for name, value in self.now.items():
            if seen.get(name) != value:
                self.changed_meanwhile[self.fields[name].label] = self._in_words(name)
                # Whoever left a field as it was does not want back what the other has corrected.
                if name in cleaned and _as_text(cleaned[name]) == seen.get(name):
                    self.data[name] = value
        raise forms.ValidationError(
            "Somebody has changed this record meanwhile. What they changed is listed here, and filled in where you "
            "had changed nothing. Check the record, then save again."
        )

    def _in_words(self, name):
        value = getattr(self.instance, name)
        match name:
            case "sex":
                return self.instance.get_sex_display()
            case "date_of_birth":
                return f"{value:%d %B %Y}"
        return _as_text(value) or "nothing"


def _as_text(value):
    return "" if value is None else str(value)


def _of_an_adult(height):
    low, high = (validator.limit_value for validator in ADULT_HEIGHT)
    return low <= height <= high


def _refill(form, field, value):
    """Show the form with another value in `field` than was sent."""
    form.data = form.data.copy()
    form.data[field] = value


def _offer(form, field, measure, value, likely):
    """Offer `value` in the unit that was asked for, if that is `likely` in one of the units it may be typed in."""
    unit = centiles.UNITS[measure]
    for factor in OTHER_UNITS[measure]:
        meant = round(value * factor, 2)
        if likely(meant):
            _refill(form, field, f"{meant:g}")
            form.add_error(field, f"You typed {value:g} {unit}: did you mean {meant:g} {unit}? Save again if so.")
            return True
    return False


class MeasurementForm(forms.ModelForm):
    """Height and weight on one day. What no child measures is refused; what few do must be confirmed."""

    confirmed = forms.BooleanField(required=False, label="Yes: measured and typed as shown")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Measurement
        fields = ["measured_on", "height_cm", "weight_kg", "source"]
        widgets = {
            "measured_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "height_cm": forms.NumberInput(attrs={"step": "0.1", "inputmode": "decimal"}),
            "weight_kg": forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
            "source": forms.RadioSelect,
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.doubts = []
        for name in MEASURES:
            self.fields[name].one_is_needed = True  # whichever: neither is called optional
        below = "two years of corrected age" if months_early(self.instance.patient.gestational_age) else "two years"
        self.fields["height_cm"].help_text = f"In centimetres; lying down below {below}, standing from then on."
        self.fields["weight_kg"].help_text = "In kilograms."
        self.initial["seen"] = self._version()

    def _version(self):
        return "" if self.instance._state.adding else self.instance.entered_at.isoformat()

    def clean_measured_on(self):
        day = self.cleaned_data["measured_on"]
        if day > date.today():
            raise forms.ValidationError("The date lies in the future.")
        if day < self.instance.patient.date_of_birth:
            raise forms.ValidationError("The date lies before the patient's birth.")
        return day

    def clean(self):
        cleaned = super().clean()
        if self.instance.patient.archived_at:
            raise forms.ValidationError("This patient is archived. Restore the record before you enter a measurement.")
        if not self.instance._state.adding and cleaned.get("seen") != self._version():
            _refill(self, "seen", self._version())
            raise forms.ValidationError(
                f"Somebody has changed this measurement meanwhile: it is {self.instance.values_in_words} "
                f"on {self.instance.measured_on:%d %B %Y} now. Save again if yours is right."
            )
        day = cleaned.get("measured_on")
        for field, measure in MEASURES.items():
            if cleaned.get(field) is not None:
                self._check(field, measure, cleaned[field], day)
        if self.errors:
            return cleaned
        height, weight = cleaned["height_cm"], cleaned["weight_kg"]
        if height is None and weight is None:
            raise forms.ValidationError("Enter the height, the weight or both.")
        if height and weight:
            bmi = centiles.bmi(height, weight)
            try:
                centiles.plausible("bmi", bmi)
            except ValueError:
                raise forms.ValidationError("Nobody of this height has this weight. Check both.") from None
            self._doubt("bmi", round(bmi, 1), day)
        self._check_known(height, weight, day)
        if self.doubts and not cleaned["confirmed"]:
            raise forms.ValidationError("Please check the values below.")
        return cleaned

    def _check(self, field, measure, value, day):
        """Refuse what no child measures, offering what was meant where that is plain; doubt what few do."""
        try:
            centiles.plausible(measure, value)
        except ValueError as error:
            if not _offer(self, field, measure, value, lambda meant: self._likely(measure, meant, day)):
                self.add_error(field, str(error))
            return
        if day is not None:
            self._doubt(measure, value, day)

    def _doubt(self, measure, value, day):
        """Ask about what hardly any child measures at this age."""
        z = self._z(measure, value, day)
        if z is not None and abs(z) > DOUBTFUL_SD:
            side = "above" if z > 0 else "below"
            name = "BMI" if measure == "bmi" else measure
            patient = self.instance.patient
            corrected = patient.corrected_age_on(day)
            age = in_words(completed(patient.age_on(day) if corrected is None else corrected))
            why = "" if corrected is None else f", corrected for birth at {patient.gestational_age} weeks"
            self.doubts.append(
                f"A {name} of {value:g} {centiles.UNITS[measure]} lies {abs(z):.1f} SD {side} "
                f"the average at {age}{why}."
            )

    def _likely(self, measure, value, day):
        low, high = centiles.PLAUSIBLE[measure]
        if day is None or not low <= value <= high:
            return low <= value <= high
        return abs(self._z(measure, value, day) or 0) <= DOUBTFUL_SD

    def _z(self, measure, value, day):
        patient = self.instance.patient
        return centiles.assess(measure, value, patient.age_on(day), patient.sex, patient.gestational_age).z

    def _check_known(self, height, weight, day):
        """Against the patient's other measurements: typed twice, shrunk, or grown as no child does."""
        others = self.instance.patient.measurements.exclude(pk=self.instance.pk)
        if others.filter(measured_on=day, height_cm=height, weight_kg=weight).exists():
            raise forms.ValidationError("This measurement is on record already.")
        if height is None:
            return
        heights = others.filter(height_cm__isnull=False)
        before = heights.filter(measured_on__lt=day, height_cm__gt=height + MEASURING_ERROR_CM).first()
        after = heights.filter(measured_on__gt=day, height_cm__lt=height - MEASURING_ERROR_CM).last()
        self.doubts += [
            f"On {each.measured_on:%d %B %Y} the height was {each.height_cm:g} cm: the child would have shrunk."
            for each in (before, after)
            if each
        ]
        patient = self.instance.patient
        for each in (heights.filter(measured_on__lt=day).first(), heights.filter(measured_on__gt=day).last()):
            if each is None:
                continue
            (earlier, shorter), (later, taller) = sorted([(each.measured_on, each.height_cm), (day, height)])
            if (
                taller - shorter
                > most_growth(patient.date_of_birth, earlier, later, patient.gestational_age) + MEASURING_ERROR_CM
            ):
                self.doubts.append(
                    f"On {each.measured_on:%d %B %Y} the height was {each.height_cm:g} cm: "
                    f"no child grows {taller - shorter:.1f} cm between the two days."
                )
