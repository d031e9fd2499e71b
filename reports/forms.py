import hashlib
import re

from django import forms

from reports.verification import normal_code

MAX_BYTES = 20_000_000


class VerifyForm(forms.Form):
    """A check code and either the PDF or its hash; cleaned to `code` and `sha256`."""

    code = forms.CharField(
        label="Check code",
        max_length=40,
        help_text="Three groups of four at the end of the report, such as 7KQ4-M2XP-9RTD.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    file = forms.FileField(
        label="The report as a PDF file",
        required=False,
        allow_empty_file=True,
        help_text="It is compared and not kept.",
        widget=forms.FileInput(attrs={"accept": "application/pdf"}),
    )
    sha256 = forms.CharField(
        label="Or the SHA-256 of the file",
        required=False,
        max_length=200,
        help_text="64 characters, 0 to 9 and a to f.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_code(self):
        return normal_code(self.cleaned_data["code"])

    def clean_sha256(self):
        digits = re.sub(r"\s", "", self.cleaned_data["sha256"]).lower()
        if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise forms.ValidationError("A SHA-256 has 64 characters, 0 to 9 and a to f.")
        return digits

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file and file.size > MAX_BYTES:
            raise forms.ValidationError("This file is larger than any report of the portal.")
        return file

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("file"):
            digest = hashlib.sha256()
            for chunk in cleaned["file"].chunks():
                digest.update(chunk)
            cleaned["sha256"] = digest.hexdigest()
        elif not cleaned.get("sha256") and not self.errors:
            self.add_error("file", "Choose the PDF file, or enter its SHA-256.")
        return cleaned
