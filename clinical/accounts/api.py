"""What every room of the API shares: who a program acts for, what it may do, how lists and refusals look.

A program sends an access token. It stands for one member of one hospital, so the middleware that lets people into
their hospital lets programs into theirs, and every view finds the same `request.membership` and scope.
"""

from datetime import UTC, datetime

import django_filters
from django.contrib.auth.models import AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from django.http import JsonResponse
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.types import OpenApiTypes
from knox.auth import TokenAuthentication
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import SAFE_METHODS, BasePermission

from clinical.accounts.models import AccessToken, Right
from clinical.accounts.permissions import CLINICAL_ROLES
from clinical.listing import PAGE_SIZE, ordered

ROOT = "/api/v1/"
NONE_SENT = "Send an access token, as the header Authorization: Bearer TOKEN. Make one in the portal, under API."
UNKNOWN = "This access token is unknown, has expired or was revoked. Make a new one in the portal, under API."


class AccessTokenMiddleware:
    """Sets `request.access_token`, and below ROOT `request.user`: a session opens nothing there, a token nothing else.

    Before HospitalScopeMiddleware, after whatever looks after sessions.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.access_token = None
        if not request.path_info.startswith(ROOT):
            return self.get_response(request)
        try:
            request.user, request.access_token = TokenAuthentication().authenticate(request) or (AnonymousUser(), None)
        except (AuthenticationFailed, UnicodeDecodeError):
            return JsonResponse({"detail": UNKNOWN}, status=401, headers={"WWW-Authenticate": "Bearer"})
        if request.access_token:
            _note_use(request.access_token)
        return self.get_response(request)


def _note_use(token):
    """Busy programs do not cost a write with every request."""
    now = timezone.now()
    lately = Q(last_used_at__gte=now - timezone.timedelta(minutes=1))
    AccessToken.objects.filter(pk=token.pk).exclude(lately).update(last_used_at=now)


class AccessTokenAuthentication(BaseAuthentication):
    """Whom the middleware has let in."""

    def authenticate(self, request):
        token = request._request.access_token
        return (token.user, token) if token else None

    def authenticate_header(self, request):
        return "Bearer"


class AccessTokenScheme(OpenApiAuthenticationExtension):
    target_class = AccessTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema):
        return build_bearer_security_scheme_object("Authorization", "Bearer")


class IsClinician(BasePermission):
    """As the pages: technicians and doctors. A token that may only read changes nothing."""

    def has_permission(self, request, view):
        if request.auth is None:
            return False
        if request.membership is None or request.membership.role not in CLINICAL_ROLES:
            self.message = "The API is for technicians and doctors: the role of whom this access token acts for is not."
            return False
        self.message = "This access token may only read. Make one that may submit, too."
        return request.method in SAFE_METHODS or request.auth.right == Right.WRITE


class Filters(DjangoFilterBackend):
    """As the portal's lists. A misspelt name is told: ignored, it would answer with all rows."""

    def filter_queryset(self, request, queryset, view):
        filterset_class = self.get_filterset_class(view, queryset)
        known = {*filterset_class.base_filters, "sort", "page", "page_size"}
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            known_names = ", ".join(sorted(known))
            raise ValidationError({name: f"There is no such filter. There are: {known_names}." for name in unknown})
        return super().filter_queryset(request, queryset, view)


class SinceFilter(django_filters.IsoDateTimeFilter):
    """From a moment on. Those of the first and the last days that a date may have do not exist in every time zone."""

    def __init__(self, field_name):
        first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (1900, 2200))
        limits = [MinValueValidator(first), MaxValueValidator(last)]
        super().__init__(field_name=field_name, lookup_expr="gte", validators=limits)


class Sorts(BaseFilterBackend):
    """`?sort=name` or `-name`, of the view's `sorts`; the first of them unless another is asked for."""

    def filter_queryset(self, request, queryset, view):
        sort = request.query_params.get("sort", view.default_sort)
        if sort.removeprefix("-") not in view.sorts:
            raise ValidationError({"sort": f"Sort by one of: {', '.join(view.sorts)}; with - before it, downwards."})
        return ordered(queryset, view.sorts, sort)

    def get_schema_operation_parameters(self, view):
        names = [sign + name for name in view.sorts for sign in ("", "-")]
        schema = {"type": "string", "enum": names, "default": view.default_sort}
        return [{"name": "sort", "in": "query", "required": False, "schema": schema}]


class Pages(PageNumberPagination):
    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = 100
    invalid_page_message = "There is no such page."


class Rounded(serializers.FloatField):
    """As far as it is known: `digits` after the point."""

    def __init__(self, digits=1, **kwargs):
        super().__init__(read_only=True, **kwargs)
        self.digits = digits

    def to_representation(self, value):
        return round(value, self.digits)


def binary(content_type):
    """For the description of a route: it answers with a file."""
    return {(200, content_type): OpenApiTypes.BINARY}


class Conflict(APIException):
    """What is asked for does not fit how things stand now."""

    status_code = 409
    default_code = "conflict"


def explain(error, context):
    """Every refusal is {"detail": a sentence}, and where fields are wrong {"fields": {name: [sentences]}} beside it."""
    from rest_framework.views import exception_handler  # which itself asks for the classes of this module

    response = exception_handler(error, context)
    if isinstance(error, NotAuthenticated):
        response.data = {"detail": NONE_SENT}
    elif isinstance(error, ValidationError):
        fields = error.detail if isinstance(error.detail, dict) else {"": error.detail}
        fields = {name: [_sendable(each) for each in _flat(errors)] for name, errors in fields.items()}
        general = [*fields.pop("__all__", []), *fields.pop("non_field_errors", []), *fields.pop("", [])]
        response.data = {"detail": " ".join(general) or "Correct what `fields` names.", "fields": fields}
    return response


REFUSAL = {
    "type": "object",
    "properties": {
        "detail": {"type": "string", "description": "Why, in a sentence."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "What is wrong with which field, where fields are.",
        },
    },
    "required": ["detail"],
}


def describe_refusals(result, **kwargs):
    """Put what `explain` answers into the description: for the answers that have no content of their own, and for all
    that no route names.
    """
    result["components"]["schemas"]["Refusal"] = REFUSAL
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    for path in result["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            answers["default"] = {"description": "It is refused."}
            for answer in answers.values():
                answer.setdefault("content", content)
    return result


def _flat(errors):
    return errors if isinstance(errors, list) else [errors]


def _sendable(error):
    """A sentence that may quote what was sent: half a surrogate pair, which JSON holds and UTF-8 does not, is a "?"."""
    return str(error).encode(errors="replace").decode()
