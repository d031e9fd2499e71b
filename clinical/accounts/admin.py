from functools import partial

import allauth.account.admin
import allauth.mfa.admin
import allauth.socialaccount.admin
import allauth.usersessions.admin  # noqa: F401  registers what is unregistered below
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.signing import BadSignature, dumps, loads
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html

from clinical.accounts import access_token_admin, invitations, membership, second_factor, sessions  # noqa: F401
from clinical.accounts.logo import LogoField, keep_logo, shown
from clinical.accounts.models import Hospital, Invitation, Membership, Role, User
from clinical.accounts.permissions import confirmed, confirmed_first
from clinical.administration.filters import FieldsFilter
from clinical.administration.rows import PortalAdmin, ReadOnlyAdmin
from clinical.administration.site import administers
from clinical.audit.record import Verb, record
from clinical.audit.sign_ins import record_person

LOGO = "kept logo"


class MembershipFormSet(forms.BaseInlineFormSet):
    def add_fields(self, form, index):
        super().add_fields(form, index)
        for name, field in form.fields.items():
            # The columns' heads say to the eye alone which field is which.
            field.widget.attrs.setdefault("aria-label", field.label or name.capitalize())
            # Somebody else, or another hospital, is another membership.
            field.disabled = form.instance.pk is not None and name in {"user", "hospital"} - {self.fk.name}


class MembershipInline(admin.TabularInline):
    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ["user", "hospital"]


class WithMemberships(PortalAdmin):
    """A form with memberships below it; giving roles and what becomes of them is confirmed and recorded as in the
    portal."""

    def changeform_view(self, request, *args, **kwargs):
        try:
            return confirmed(super().changeform_view)(request, *args, **kwargs)
        except membership.Refused as error:
            self.message_user(request, f"Nothing was saved. {error}", messages.ERROR)
            return redirect(request.get_full_path())

    def save_formset(self, request, form, formset, change):
        formset.save(commit=False)
        for row in formset.new_objects:
            row.save()
            record(Verb.JOIN, row, request=request, detail=row.role)
        # New administrators first: then the one before may go.
        for row, _ in sorted(formset.changed_objects, key=lambda changed: changed[0].role != Role.HOSPITAL_ADMIN):
            membership.change_role(row, row.role, request.user)
        for row in formset.deleted_objects:
            membership.remove(row, request.user)


class HospitalForm(forms.ModelForm):
    new_logo = LogoField(required=False, label="Logo", help_text="PNG or JPEG, up to 2 MB. Empty: the logo stays.")
    remove_logo = forms.BooleanField(required=False, label="Print reports without a logo")
    # A signed name: what was entered waits while somebody confirms that it is they, but a file does not.
    kept_logo = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Hospital
        fields = ["name", "address", "paper", "bone_age_reference", "age_of_majority"]
        widgets = {"address": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.logo and (source := shown(self.instance.logo)):
            field = self.fields["new_logo"]
            field.help_text = format_html('{} <img src="{}" alt="The logo now">', field.help_text, source)

    def clean_kept_logo(self):
        try:
            return loads(self.cleaned_data["kept_logo"], salt=LOGO)
        except BadSignature:
            return ""

    def save(self, commit=True):
        if picture := self.cleaned_data["new_logo"]:
            self.instance.logo = keep_logo(picture)
        elif self.cleaned_data["kept_logo"]:
            self.instance.logo = self.cleaned_data["kept_logo"]
        elif self.cleaned_data["remove_logo"]:
            self.instance.logo = ""
        return super().save(commit)


@admin.register(Hospital)
class HospitalAdmin(WithMemberships):
    form = HospitalForm
    list_display = ["name", "bone_age_reference", "paper", "created_at"]
    list_filter = ["bone_age_reference"]
    search_fields = ["name"]
    date_hierarchy = "created_at"
    inlines = [MembershipInline]

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ReauthenticationRequired:
            self._keep_logo(request)
            raise

    def _keep_logo(self, request):
        try:
            picture = LogoField(required=False).clean(request.FILES.get("new_logo"))
        except ValidationError as error:
            self.message_user(request, f"The logo was left out. {' '.join(error.messages)}", messages.WARNING)
        else:
            if picture:
                request.POST = request.POST.copy()
                request.POST["kept_logo"] = dumps(keep_logo(picture), salt=LOGO)

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


class UserForm(AddressForm, UserChangeForm):
    """With a link to the page that sets another password."""


class MembershipForm(forms.Form):
    role = forms.ChoiceField(choices=[("", "Any"), *Role.choices], required=False)
    hospital = forms.ModelChoiceField(Hospital.objects.all(), required=False, empty_label="Any")


class MembershipFilter(FieldsFilter):
    """Role and hospital of one and the same membership: of two filters each would be content with another."""

    title, template = "membership", "admin/membership_filter.html"

    def __init__(self, request, params, model, model_admin):
        super().__init__(request, params, model, model_admin)
        given = {name: params.pop(name, [""])[-1] for name in self.expected_parameters()}
        self.used_parameters = {name: value for name, value in given.items() if value}
        self.fields = MembershipForm(given)
        if not self.fields.is_valid():
            raise IncorrectLookupParameters

    def expected_parameters(self):
        return list(MembershipForm.base_fields)

    def queryset(self, request, queryset):
        chosen = {name: value for name, value in self.fields.cleaned_data.items() if value}
        return queryset.filter(pk__in=Membership.objects.filter(**chosen).values("user")) if chosen else queryset


@admin.register(User)
class UserAdmin(WithMemberships, DjangoUserAdmin):
    add_form = UserCreationForm
    form = UserForm
    ordering = ["name"]
    list_display = ["name", "email", "is_staff", "is_active", "last_login", "date_joined"]
    list_filter = ["is_staff", "is_superuser", "is_active", MembershipFilter]
    search_fields = ["email", "name"]
    search_help_text = "Name or e-mail address."
    filter_horizontal = []
    readonly_fields = ["second_factor", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password", "second_factor", "is_active"]}),
        ("Platform", {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    # Without the links that reset a password and a second factor.
    shown_fieldsets = [(None, {"fields": ["email", "name", "held_factors", "is_active"]}), *fieldsets[1:]]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2"]}),
    ]
    inlines = [MembershipInline]

    def get_fieldsets(self, request, obj=None):
        is_fixed = obj is not None and not self.has_change_permission(request, obj)
        return self.shown_fieldsets if is_fixed else super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request, obj=None):
        """Nobody raises themselves: the platform's rights are given by those who have them all."""
        rights = [] if request.user.is_superuser else ["is_staff", "is_superuser", "groups", "user_permissions"]
        return [*super().get_readonly_fields(request, obj), *rights]

    def has_change_permission(self, request, obj=None):
        """Nor by way of somebody else of the platform, whose password or address they would set."""
        raised = obj is not None and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser
        return not raised and super().has_change_permission(request, obj)

    @method_decorator(confirmed_first)
    def add_view(self, request, form_url="", extra_context=None):
        return super().add_view(request, form_url, extra_context)

    @method_decorator(confirmed_first)
    def user_change_password(self, request, id, form_url=""):
        user = self.get_object(request, id)
        before = user.password
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            user.refresh_from_db()
            if user.password == before:
                return response
            record_person(Verb.CHANGE_PASSWORD, user, request=request, detail="administration")
            sessions.end_what_the_old_password_began(User, request, user)
        get_adapter().send_mail("account/email/password_by_platform", user.email, {})
        return response

    @admin.display(description="second factor")
    def held_factors(self, user):
        return ", ".join(str(row) for row in Authenticator.objects.filter(user=user).order_by("pk")) or "None"

    @admin.display(description="second factor")
    def second_factor(self, user):
        held = self.held_factors(user)
        if held == "None":
            return held
        return format_html('{} <a href="{}">Reset</a>', held, reverse("admin:accounts_user_reset", args=[user.pk]))

    def get_urls(self):
        reset = self.admin_site.admin_view(self.reset_second_factor)
        return [path("<int:pk>/reset-second-factor/", reset, name="accounts_user_reset"), *super().get_urls()]

    @method_decorator(confirmed)
    def reset_second_factor(self, request, pk):
        user = get_object_or_404(User, pk=pk)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        back = reverse("admin:accounts_user_change", args=[pk])
        if request.method == "POST":
            second_factor.reset(request, user)
            self.message_user(request, f"{user} sets up another second factor at the next sign-in.")
            return redirect(back)
        message = "Make sure that it is they who ask: whoever knows their password then needs nothing else to sign in."
        context = {"title": f"Reset the second factor of {user}?", "message": message, "verb": "Reset", "back": back}
        return render(request, "portal/confirm.html", context)

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        if "email" in form.changed_data:
            # The address that an operator typed is from now on the only one to sign in with.
            user = form.instance
            former = EmailAddress.objects.filter(user=user, verified=True).exclude(email=user.email)
            for address in former.values_list("email", flat=True):
                mail = partial(get_adapter().send_mail, "account/email/address_by_platform", address, {})
                transaction.on_commit(mail)
            EmailAddress.objects.filter(user=user).delete()
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Membership)
class MembershipAdmin(PortalAdmin):
    """Members come by invitation; here their role changes and they leave, as on the members' page."""

    hospital_administrators = frozenset({"view", "change", "delete"})
    list_display = ["name", "email", "role", "hospital", "created_at"]
    list_filter = ["role", "hospital"]
    list_select_related = ["user", "hospital"]
    search_fields = ["user__name", "user__email"]
    search_help_text = "Name or e-mail address."
    date_hierarchy = "created_at"
    fields = ["user", "email", "hospital", "role", "created_at"]
    readonly_fields = ["user", "email", "hospital", "created_at"]

    @admin.display(ordering="user__name")
    def name(self, row):
        return row.user.name

    @admin.display(description="e-mail", ordering="user__email")
    def email(self, row):
        return row.user.email

    def has_add_permission(self, request):
        return False

    def save_model(self, request, obj, form, change):
        membership.change_role(obj, obj.role, request.user)

    def delete_model(self, request, obj):
        membership.remove(obj, request.user)

    def delete_queryset(self, request, queryset):
        for row in queryset.select_related("hospital"):
            membership.remove(row, request.user)

    @method_decorator(transaction.atomic)
    def response_action(self, request, queryset):
        """Of many that were chosen all are removed, or none; Django notes their removal before."""
        return super().response_action(request, queryset)

    def _unless_refused(self, view, request, **kwargs):
        try:
            response = confirmed(view)(request, **kwargs)
        except membership.Refused as error:
            self.message_user(request, f"Nothing was changed. {error}", messages.ERROR)
            return redirect("admin:accounts_membership_changelist")
        # Who has just ended being administrator goes where their work is now.
        own = request.user.memberships.filter(hospital=request.hospital, role=Role.HOSPITAL_ADMIN)
        is_out = request.method == "POST" and administers(request) and not own.exists()
        return redirect("home") if is_out else response

    def change_view(self, request, **kwargs):
        return self._unless_refused(super().change_view, request, **kwargs)

    def delete_view(self, request, **kwargs):
        return self._unless_refused(super().delete_view, request, **kwargs)

    def changelist_view(self, request, **kwargs):
        return self._unless_refused(super().changelist_view, request, **kwargs)


class InvitationLinkAdmin(ReadOnlyAdmin):
    """Of every kind of invitation."""

    hospital_administrators = frozenset({"view"})
    list_select_related = ["hospital", "invited_by"]
    search_fields = ["email"]
    search_help_text = "E-mail address."
    date_hierarchy = "created_at"
    exclude = ["token"]
    actions = ["withdraw"]

    def has_withdraw_permission(self, request):
        return self.has_operate_permission(request)

    @admin.action(description="Withdraw (open ones)", permissions=["withdraw"])
    def withdraw(self, request, queryset):
        withdrawn = sum(invitations.withdraw(invitation, request.user) for invitation in queryset.pending())
        said = pluralize(withdrawn, "invitation was withdrawn; its link,invitations were withdrawn; their links")
        self.message_user(request, f"{withdrawn} {said} no longer work{pluralize(withdrawn, 's,')}.")


@admin.register(Invitation)
class InvitationAdmin(InvitationLinkAdmin):
    list_display = ["email", "role", "hospital", "invited_by", "created_at", "expires_at", "accepted_at"]
    list_filter = ["role", ("accepted_at", admin.EmptyFieldListFilter), "hospital"]

    def has_withdraw_permission(self, request):
        return administers(request) or super().has_withdraw_permission(request)


# allauth's own lists would let secrets be read, second factors be given to others, and a superuser's address be made
# one's own without a word to anybody; the page of a person sets an address as it must be.
admin.site.unregister([EmailAddress, Authenticator, UserSession, SocialAccount, SocialApp, SocialToken])
