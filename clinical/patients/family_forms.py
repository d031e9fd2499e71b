from django import forms

from clinical.accounts.forms import InvitationLinkForm
from clinical.patients.models import OF_A_CHILD, SELF_FROM_YEARS, FamilyInvitation, Relation


class FamilyInvitationForm(InvitationLinkForm):
    holder_error = "This person has access already."

    class Meta:
        model = FamilyInvitation
        fields = ["email", "relation"]
        widgets = {"relation": forms.RadioSelect}
        help_texts = {
            "relation": f"Patients read their own reports from the age of {SELF_FROM_YEARS}; "
            "before that their parents or guardians do."
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        relation, patient = self.fields["relation"], self.instance.patient
        not_of_this_patient = OF_A_CHILD if patient.is_of_age else [Relation.OF_ADULT]
        relation.choices = [(each, each.label) for each in Relation if each not in not_of_this_patient]
        relation.error_messages["invalid_choice"] = "Choose one of those that are offered."
        if patient.is_of_age:
            of_age = "The patient is of age. Parents read the reports until then."
            relation.help_text = relation.error_messages["invalid_choice"] = of_age

    def clean_relation(self):
        relation = self.cleaned_data["relation"]
        patient = self.instance.patient
        if relation != Relation.SELF:
            return relation
        if not patient.may_read_own_reports:
            raise forms.ValidationError(
                f"The patient is younger than {SELF_FROM_YEARS} years. Invite a parent or guardian instead."
            )
        if patient.guardianships.filter(relation=Relation.SELF).exists():
            raise forms.ValidationError("The patient has access already. Revoke it first to invite another address.")
        others = patient.family_invitations.pending().exclude(email=self.cleaned_data.get("email"))
        if others.filter(relation=Relation.SELF).exists():
            raise forms.ValidationError(
                "The patient has an invitation that is still open. Withdraw it first to invite another address."
            )
        return relation
