"""The access tokens of programs in the administration: looked at, and revoked."""

from django.contrib import admin
from django.template.defaultfilters import pluralize

from clinical.accounts import access_tokens
from clinical.accounts.models import AccessToken
from clinical.administration.rows import ReadOnlyAdmin


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    """Whose programs have access; members make tokens themselves."""

    list_display = ["name", "key", "user", "hospital", "right", "created", "last_used_at", "expiry"]
    list_filter = ["right", ("last_used_at", admin.EmptyFieldListFilter), "membership__hospital"]
    list_select_related = ["user", "membership__user", "membership__hospital"]
    search_fields = ["name", "user__name", "user__email"]
    search_help_text = "Name of the program, or name or e-mail address of whom it acts for."
    date_hierarchy = "created"
    fields = ["name", "key", "user", "hospital", "right", "created", "last_used_at", "expiry"]
    actions = ["revoke"]

    @admin.display(description="begins with")
    def key(self, row):
        return f"{row.token_key}…"

    @admin.display(ordering="membership__hospital")
    def hospital(self, row):
        return row.membership.hospital

    def has_revoke_permission(self, request):
        return self.has_operate_permission(request)

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request, queryset):
        tokens = list(queryset)
        for token in tokens:
            access_tokens.revoke(token, request.user)
        self.message_user(request, f"{len(tokens)} access token{pluralize(tokens)} revoked.")
