from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm

from clinical.accounts.logo import LogoField, keep_logo
from clinical.accounts.models import Hospital, Invitation, Membership, User


class ReadOnlyAdmin(admin.ModelAdmin):
    """For rows that the workflow owns: the administration looks, it does not write."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ["user", "hospital"]


class HospitalForm(forms.ModelForm):
    new_logo = LogoField(required=False, label="Logo", help_text="PNG or JPEG, up to 2 MB. Empty: the logo stays.")
    remove_logo = forms.BooleanField(required=False, label="Print reports without a logo")

    class Meta:
        model = Hospital
        fields = ["name", "address", "paper", "bone_age_reference"]
        widgets = {"address": forms.Textarea(attrs={"rows": 3})}

    def save(self, commit=True):
        if picture := self.cleaned_data["new_logo"]:
            self.instance.logo = keep_logo(picture)
        elif self.cleaned_data["remove_logo"]:
            self.instance.logo = ""
        return super().save(commit)


@admin.register(Hospital)
class HospitalAdmin(admin.ModelAdmin):
    form = HospitalForm
    list_display = ["name", "bone_age_reference", "created_at"]
    search_fields = ["name"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request, obj=None):
        return False


class AddressForm(forms.ModelForm):
    """An address is stored in lower case and signs in one person only, their second addresses included."""

    def clean_email(self):
        email = self.cleaned_data["email"].lower()
        holder = User.objects.with_address(email)
        if holder and holder != self.instance:
            raise forms.ValidationError(User._meta.get_field("email").error_messages["unique"])
        return email


class UserCreationForm(AddressForm, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email", "name"]
        field_classes = {}


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    add_form = UserCreationForm
    form = AddressForm
    ordering = ["name"]
    list_display = ["email", "name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    search_fields = ["email", "name"]
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "name", "is_active"]}),
        ("Platform", {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2"]}),
    ]
    inlines = [MembershipInline]

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if "email" in form.changed_data:
            # The address that an operator typed is from now on the only one to sign in with.
            user = form.instance
            EmailAddress.objects.filter(user=user).delete()
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["email", "hospital", "role", "created_at", "expires_at", "accepted_at"]
    list_filter = ["role", "hospital"]
    search_fields = ["email"]
    exclude = ["token"]
