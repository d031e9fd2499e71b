from allauth.account import forms as allauth_forms
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password

from clinical.accounts.models import Invitation, Role, User


class InvitationLinkForm(forms.ModelForm):
    """Nobody is offered what they have already. Subclasses name `holder_error`."""

    def clean_email(self):
        email = self.cleaned_data["email"].lower()
        if self.instance.holders().filter(user=User.objects.with_address(email)).exists():
            raise forms.ValidationError(self.holder_error)
        return email


class InvitationForm(InvitationLinkForm):
    holder_error = "This person is a member of the hospital already."

    class Meta:
        model = Invitation
        fields = ["email", "role"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [("", "Choose a role"), *Role.choices]


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role)


class AcceptInvitationForm(forms.Form):
    """The first password of an invited person."""

    name = forms.CharField(max_length=200, label="Your name", help_text="In full, as others should read it.")
    password1 = forms.CharField(
        label="Password",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
        strip=False,
    )
    password2 = forms.CharField(
        label="Password again", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )

    def __init__(self, *args, email, **kwargs):
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self):
        cleaned = super().clean()
        password = cleaned.get("password1")
        if password and cleaned.get("password2") and password != cleaned["password2"]:
            self.add_error("password2", "The two passwords differ. Type the same one twice.")
        elif password:
            try:
                validate_password(password, User(email=self.email, name=cleaned.get("name", "")))
            except forms.ValidationError as error:
                self.add_error("password1", error)
        return cleaned


class InThePortalsWords:
    """allauth's fields, labelled as the portal labels the same."""

    labels = {
        "Email": "E-mail address",
        "Current Password": "Current password",
        "New Password": "New password",
        "New Password (again)": "New password again",
    }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = self.labels.get(field.label, field.label)


class LoginForm(InThePortalsWords, allauth_forms.LoginForm):
    pass


class AddEmailForm(InThePortalsWords, allauth_forms.AddEmailForm):
    pass


class ChangePasswordForm(InThePortalsWords, allauth_forms.ChangePasswordForm):
    pass


class ResetPasswordForm(InThePortalsWords, allauth_forms.ResetPasswordForm):
    pass


class ResetPasswordKeyForm(InThePortalsWords, allauth_forms.ResetPasswordKeyForm):
    pass


class AddPasskeyForm(AddWebAuthnForm):
    name = forms.CharField(required=False, max_length=60, help_text="So that you know it again, such as: my phone.")
    passwordless = forms.BooleanField(
        required=False,
        initial=True,
        label="Sign in with it alone, without the password",
        help_text="It then asks for a fingerprint, your face or its PIN. Otherwise it comes after the password.",
    )
