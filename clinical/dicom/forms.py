from django import forms

from clinical.accounts.permissions import CLINICAL_ROLES
from clinical.dicom.models import Sender
from clinical.studies.forms import UploadForm


class SenderForm(forms.ModelForm):
    class Meta:
        model = Sender
        fields = ["name", "ae_title", "address", "membership"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        members = self.instance.hospital.memberships.filter(role__in=CLINICAL_ROLES)
        self.fields["membership"].queryset = members.select_related("user").order_by("user__name", "pk")
        self.fields["membership"].label_from_instance = lambda member: f"{member.user}, {member.get_role_display()}"
        self.fields["membership"].required = True
        self.fields["membership"].empty_label = "Choose a member"

    def validate_unique(self):
        """With the hospital, which is part of what must be unique, and which no field shows."""
        try:
            self.instance.validate_constraints()
        except forms.ValidationError as error:
            self._update_errors(error)


class ArrivalForm(UploadForm):
    """Whose film it is, and of which day."""

    mrn = forms.CharField(label="MRN", max_length=40)
    confirmed = forms.BooleanField(required=False, label="Yes: this very picture is meant to be filed again")
    submission = None  # the film has one
    asks = False  # whether that question stands

    field_order = ["mrn", "acquired_on", "indication", "urgent"]

    def __init__(self, *args, arrival, **kwargs):
        super().__init__(
            *args, initial={"mrn": arrival.mrn, "acquired_on": arrival.acquired_on}, patient=None, **kwargs
        )
        self.fields["acquired_on"].help_text = "Leave empty to take it from the film, or today."
