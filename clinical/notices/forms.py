from django import forms
from django.utils import timezone

from clinical.accounts.models import Role
from clinical.notices.models import Frequency, Kind, MailPreference

FOR_ROLES = {
    Kind.STUDY_STOPPED: {Role.TECHNICIAN, Role.DOCTOR},
    Kind.READING_DUE: {Role.DOCTOR},
    Kind.URGENT_READING: {Role.DOCTOR},
    Kind.TOKEN_ENDS: set(Role),
}


def kinds_for(memberships, is_family):
    """What a user with these memberships can be told of."""
    roles = {membership.role for membership in memberships}
    return [kind for kind in Kind if (is_family if kind == Kind.REPORT_READY else roles & FOR_ROLES[kind])]


class PreferencesForm(forms.Form):
    """One choice for each of `kinds`."""

    def __init__(self, *args, user, kinds, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        chosen = dict(user.mail_preferences.values_list("kind", "frequency"))
        for kind in kinds:
            self.fields[kind.name.lower()] = forms.ChoiceField(
                label=kind.label,
                choices=[choice for choice in Frequency.choices if choice[0] in kind.frequencies],
                initial=chosen.get(kind, kind.frequencies[0]),
                widget=forms.RadioSelect,
            )

    def save(self):
        for name, frequency in self.cleaned_data.items():
            kind = Kind[name.upper()]
            MailPreference.objects.update_or_create(user=self.user, kind=kind, defaults={"frequency": frequency})
            if name in self.changed_data:  # what waits to be mailed goes with the new choice
                waiting = self.user.notifications.unread().filter(kind=kind, mail_due_at__isnull=False)
                waiting.update(mail_due_at=Frequency(frequency).next_mail(timezone.now()))
