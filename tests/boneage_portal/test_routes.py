"""Who may open what: every route, every kind of person, against what belongs to the hospital.

The table is the policy. A route without a row fails here, so none is added without deciding who may use it.
"""

import re
import uuid
from dataclasses import dataclass

import pytest
from django.db import transaction
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse

SIGN_IN = "is sent to sign in"
REFUSED = (403, 404, 405, SIGN_IN)

# Doctor, technician and administrator of the hospital; doctor and administrator of another; a patient's mother;
# somebody who belongs nowhere; the anonymous.
PEOPLE = ("alice", "tess", "ada", "bob", "olga", "mother", "charlie", "anonymous")
# fmt: off
EVERYBODY         = (200, 200, 200, 200, 200, 200, 200, 200)
SIGNED_IN         = (200, 200, 200, 200, 200, 200, 200, SIGN_IN)
STAFF             = (200, 200, 200, 200, 200, 403, 403, SIGN_IN)
CLINICIANS        = (200, 200, 403, 200, 403, 403, 403, SIGN_IN)
OWN_CLINICIANS    = (200, 200, 403, 404, 403, 403, 403, SIGN_IN)
OWN_DOCTOR        = (200, 403, 403, 404, 403, 403, 403, SIGN_IN)
ADMINISTRATORS    = (403, 403, 200, 403, 200, 403, 403, SIGN_IN)
OWN_ADMINISTRATOR = (403, 403, 200, 403, 404, 403, 403, SIGN_IN)
OWN_DOCTOR_OR_ADMINISTRATOR = (200, 403, 200, 404, 404, 403, 403, SIGN_IN)
FAMILY            = (403, 403, 403, 403, 403, 200, 403, SIGN_IN)
OWN_FAMILY        = (404, 404, 404, 404, 404, 200, 404, SIGN_IN)
# fmt: on


def answering(status, row):
    """`row`, with another answer than 200 for those who are let in."""
    return tuple(status if answer == 200 else answer for answer in row)


def not_allowed(row):
    """The method is refused by role, before the object is looked for."""
    return tuple(405 if answer in (200, 404) else answer for answer in row)


@dataclass(frozen=True)
class Route:
    """What each of PEOPLE gets. `of`: the fixture whose key is in the path."""

    get: tuple
    post: tuple
    of: str = ""


def page(row, of=""):
    """A page to look at."""
    return Route(row, not_allowed(row), of)


def verb(row, of="", get=None):
    """A button: it changes something and leads on."""
    return Route(get or not_allowed(row), answering(302, row), of)


def form(row, of="", get=None):
    """A page with a form, which is sent empty."""
    return Route(get or row, answering(422, row), of)


ROUTES = {
    "home": Route((302, 302, 302, 302, 302, 302, 403, 302), not_allowed(EVERYBODY)),
    "health": page(EVERYBODY),
    "security_txt": page(EVERYBODY),
    "accounts:choose_hospital": Route(STAFF, answering(404, STAFF)),
    "accounts:members": page(ADMINISTRATORS),
    "accounts:invite": form(ADMINISTRATORS, get=answering(302, ADMINISTRATORS)),
    "accounts:change_role": verb(OWN_ADMINISTRATOR, "membership", get=answering(302, OWN_ADMINISTRATOR)),
    "accounts:remove_member": verb(OWN_ADMINISTRATOR, "membership", get=OWN_ADMINISTRATOR),
    "accounts:withdraw_invitation": verb(OWN_ADMINISTRATOR, "invitation"),
    "accounts:accept_invitation": form(EVERYBODY, "token"),
    "accounts:access_tokens": form(CLINICIANS),
    "accounts:hospital_access_tokens": page(ADMINISTRATORS),
    "accounts:revoke_access_token": verb(
        (404, 200, 200, 404, 404, 403, 403, SIGN_IN), "access_token", get=(404, 200, 200, 404, 404, 403, 403, SIGN_IN)
    ),
    "api:reference": page(STAFF),
    "api:description": page(STAFF),
    "accounts:session": Route((200,) * 7 + (401,), (200,) * 7 + (401,)),
    "accounts:end_session": verb((404, 404, 404, 404, 404, 200, 404, SIGN_IN), "session"),
    "accounts:disconnect_identity": verb(answering(404, SIGNED_IN), get=answering(404, SIGNED_IN)),
    "accounts:set_up_second_factor": page(SIGNED_IN),
    "accounts:acknowledge_recovery_codes": verb(SIGNED_IN),
    "patients:list": page(CLINICIANS),
    "patients:create": form(CLINICIANS),
    "patients:detail": page(OWN_CLINICIANS, "patient"),
    "patients:edit": form(OWN_CLINICIANS, "patient"),
    "patients:archive": verb(OWN_CLINICIANS, "patient"),
    "patients:restore": verb(OWN_CLINICIANS, "patient"),
    "patients:add_measurement": form(OWN_CLINICIANS, "patient"),
    "patients:edit_measurement": form(OWN_CLINICIANS, "measurement"),
    "patients:remove_measurement": verb(OWN_CLINICIANS, "measurement", get=OWN_CLINICIANS),
    "patients:put_back_measurement": verb(OWN_CLINICIANS, "removed_measurement"),
    "patients:invite_family": form(OWN_DOCTOR, "patient"),
    "patients:revoke_family": verb(OWN_DOCTOR, "guardianship", get=OWN_DOCTOR),
    "patients:withdraw_family_invitation": verb(OWN_DOCTOR, "family_invitation"),
    "patients:hospital_accesses": page(ADMINISTRATORS),
    "patients:hospital_accesses_csv": page(ADMINISTRATORS),
    "patients:accesses": page(OWN_DOCTOR_OR_ADMINISTRATOR, "patient"),
    "patients:accesses_csv": page(OWN_DOCTOR_OR_ADMINISTRATOR, "patient"),
    "patients:privacy_overview": form(ADMINISTRATORS),
    "patients:privacy": page(OWN_ADMINISTRATOR, "patient"),
    "patients:export": verb(OWN_ADMINISTRATOR, "patient", get=answering(302, OWN_ADMINISTRATOR)),
    "patients:erase": form(OWN_ADMINISTRATOR, "patient"),
    "patients:export_status": page(OWN_ADMINISTRATOR, "export"),
    "patients:download_export": page(OWN_ADMINISTRATOR, "export"),
    "patients:cancel_erasure": verb(OWN_ADMINISTRATOR, "erasure"),
    "patients:child_accesses": page(OWN_FAMILY, "patient"),
    "patients:family": page(FAMILY),
    "patients:leave_family": verb(OWN_FAMILY, "patient", get=OWN_FAMILY),
    "patients:child": page(OWN_FAMILY, "patient"),
    "patients:accept_family_invitation": form(EVERYBODY, "family_token"),
    "notices:list": page(SIGNED_IN),
    "notices:mark_all_read": verb(SIGNED_IN),
    "notices:follow": verb(OWN_FAMILY, "notification"),
    "notices:mark_read": verb(OWN_FAMILY, "notification"),
    # There is something to choose for members and families only.
    "notices:preferences": Route(SIGNED_IN, (422, 422, 422, 422, 422, 422, 302, SIGN_IN)),
    "studies:upload": form(OWN_CLINICIANS, "patient"),
    "studies:worklist": page(CLINICIANS),
    "studies:export": page(CLINICIANS),
    "studies:bulk_upload": form(CLINICIANS),
    "studies:detail": page(OWN_CLINICIANS, "study"),
    "studies:status": page(OWN_CLINICIANS, "study"),
    "studies:outcome": page(OWN_CLINICIANS, "study"),
    "studies:correct": form(OWN_CLINICIANS, "study"),
    "studies:urgency": verb(OWN_CLINICIANS, "study"),
    "studies:retry": verb(OWN_CLINICIANS, "study"),
    "studies:reanalyse": verb(OWN_DOCTOR, "study", get=OWN_DOCTOR),
    "studies:cancel": form(OWN_CLINICIANS, "study"),
    "studies:withdraw": form(OWN_CLINICIANS, "study"),
    "studies:refile": form(OWN_CLINICIANS, "study"),
    "studies:review": form(OWN_DOCTOR, "study", get=answering(302, OWN_DOCTOR)),
    "studies:sign": form(OWN_DOCTOR, "study", get=answering(302, OWN_DOCTOR)),
    "studies:release": verb(OWN_DOCTOR, "study", get=OWN_DOCTOR),
    "studies:amend": form(OWN_DOCTOR, "study"),
    "studies:image": page(OWN_CLINICIANS, "study"),
    "studies:heat_map": page(OWN_CLINICIANS, "study"),
    "studies:occlusion": verb(OWN_DOCTOR, "study", get=answering(302, OWN_CLINICIANS)),
    "studies:occlusion_map": page(OWN_CLINICIANS, "study"),
    "studies:original": page(OWN_CLINICIANS, "study"),
    "studies:deidentified": page(OWN_CLINICIANS, "study"),
    "dicom:senders": form(ADMINISTRATORS),
    "dicom:edit_sender": form(OWN_ADMINISTRATOR, "sender"),
    "dicom:remove_sender": verb(OWN_ADMINISTRATOR, "sender", get=OWN_ADMINISTRATOR),
    "dicom:arrivals": page(CLINICIANS),
    "dicom:arrival": form(OWN_CLINICIANS, "arrival"),
    "dicom:picture": page(OWN_CLINICIANS, "arrival"),
    "dicom:register": form(OWN_CLINICIANS, "arrival"),
    "dicom:discard": verb(OWN_CLINICIANS, "arrival"),
    "dicom:restore": verb(OWN_CLINICIANS, "discarded_arrival"),
    "reports:of_study": page(OWN_CLINICIANS, "study"),
    "reports:draft": Route(answering(302, OWN_CLINICIANS), not_allowed(OWN_CLINICIANS), "study"),
    "reports:pdf": page(OWN_CLINICIANS, "report"),
    "reports:structured_report": page(OWN_CLINICIANS, "report"),
    "reports:encapsulated_pdf": page(OWN_CLINICIANS, "report"),
    "reports:retry": verb(OWN_CLINICIANS, "report"),
    "reports:send_again": verb(OWN_CLINICIANS, "dispatch"),
    "reports:family_pdf": page(OWN_FAMILY, "report"),
    "reports:verify": form(EVERYBODY),
    "charts:page": page(OWN_CLINICIANS, "patient"),
    "charts:layout": page(OWN_CLINICIANS, "patient"),
    "charts:dependencies": page(OWN_CLINICIANS, "patient"),
    "dashboards:index": Route(answering(302, ADMINISTRATORS), not_allowed(ADMINISTRATORS)),
    "dashboards:board": page(ADMINISTRATORS),
    "dashboards:layout": page(ADMINISTRATORS),
    "dashboards:dependencies": page(ADMINISTRATORS),
    "dashboards:script": Route(answering(302, ADMINISTRATORS), not_allowed(ADMINISTRATORS)),
    "charts:script": Route(answering(302, OWN_CLINICIANS), not_allowed(OWN_CLINICIANS), "patient"),
}

# What a path calls the key of its row, where that is not its primary key.
KEYS = {"token": "token", "family_token": "token", "access_token": "key"}
# What a path holds besides the key of its row.
FURTHER = {"charts:script": {"path": "plotly/package_data/plotly.min.js"}}
FURTHER |= {f"dashboards:{name}": {"name": "studies"} for name in ("board", "layout", "dependencies")}
FURTHER["dashboards:script"] = {"name": "studies", **FURTHER["charts:script"]}

# allauth's pages: what whoever is signed in and what the anonymous get.
ACCOUNT_ROUTES = {
    "account_login": (302, 200),
    "account_logout": (200, 302),
    "account_inactive": (200, 200),
    "account_signup": (302, 200),
    "account_reauthenticate": (200, 302),
    "account_email": (200, 302),
    "account_email_verification_sent": (200, 200),
    "account_confirm_email": (200, 200),
    "account_change_password": (200, 302),
    "account_set_password": (302, 302),
    "account_confirm_login_code": (302, 302),
    "account_reset_password": (200, 200),
    "account_reset_password_done": (200, 200),
    "account_reset_password_from_key": (200, 200),
    "account_reset_password_from_key_done": (200, 200),
    "mfa_index": (200, 302),
    "mfa_authenticate": (302, 302),
    "mfa_reauthenticate": (302, 302),
    "mfa_activate_totp": (200, 302),
    "mfa_deactivate_totp": (404, 302),
    "mfa_view_recovery_codes": (404, 302),
    "mfa_generate_recovery_codes": (200, 302),
    "mfa_download_recovery_codes": (404, 302),
    "mfa_list_webauthn": (200, 302),
    "mfa_add_webauthn": (200, 302),
    "mfa_reauthenticate_webauthn": (302, 302),
    "mfa_remove_webauthn": (404, 302),
    "mfa_edit_webauthn": (404, 302),
    "mfa_login_webauthn": (302, 302),
    "usersessions_list": (200, 302),
    "openid_connect_login": (405, 405),
    "openid_connect_callback": (404, 404),
}
ACCOUNT_KEYS = {
    "account_confirm_email": {"key": "made-up"},
    "account_reset_password_from_key": {"uidb36": "1", "key": "made-up"},
    "mfa_remove_webauthn": {"pk": 1},
    "mfa_edit_webauthn": {"pk": 1},
    "openid_connect_login": {"provider_id": "hospital"},
    "openid_connect_callback": {"provider_id": "hospital"},
}


def path_to(name, of, row):
    """The path to `row`, which the fixture `of` made."""
    return path_at(name, of, getattr(row, {"token": "token", "key": "token_key"}.get(KEYS.get(of), "pk")))


def path_at(name, of, key):
    own = {KEYS.get(of, "pk"): key} if of else {}
    return reverse(name, kwargs=own | FURTHER.get(name, {}))


def outcome(response):
    signs_in = response.status_code == 302 and response["Location"].startswith("/accounts/login/?next=")
    return SIGN_IN if signs_in else response.status_code


def as_stored(row):
    return type(row)._base_manager.filter(pk=row.pk).values().get()


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ROUTES)
def test_everybody_gets_the_answer_in_the_table(request, sent, hospital, name, method, person):
    route = ROUTES[name]
    row = request.getfixturevalue(route.of or "hospital")
    before = as_stored(row)
    expected = getattr(route, method)[PEOPLE.index(person)]

    response = sent(person, method, path_to(name, route.of, row))

    assert outcome(response) == expected
    assert re.search(r"default-src .(self|none)", response["Content-Security-Policy"])
    if expected in REFUSED:
        assert as_stored(row) == before
        assert b"Doe, Jane" not in response.content


@pytest.mark.servers
@pytest.mark.parametrize("name", ROUTES)
def test_everybody_gets_the_same_answer_behind_row_level_security(request, db, unscoped, sent, name):
    route = ROUTES[name]
    people = [request.getfixturevalue(person) for person in PEOPLE if person != "anonymous"]
    row = request.getfixturevalue(route.of or "hospital")
    request.getfixturevalue("web_role")
    assert len(people) == len(PEOPLE) - 1
    for method in ("get", "post"):  # in one test: the policies of every table are made for each
        for person, expected in zip(PEOPLE, getattr(route, method), strict=True):
            before = transaction.savepoint()
            got = outcome(sent(person, method, path_to(name, route.of, row)))
            assert (person, method, got) == (person, method, expected)
            transaction.savepoint_rollback(before)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.get[-1] == SIGN_IN])
def test_a_script_is_told_that_the_session_has_ended(request, sent, hospital, name, method):
    route = ROUTES[name]
    row = request.getfixturevalue(route.of or "hospital")
    response = sent("anonymous", method, path_to(name, route.of, row), hx_request="true")
    assert response.status_code == 401
    assert "signed out" in response.content.decode()


GUESSES = {"patient": [uuid.UUID(int=7)], "study": [uuid.UUID(int=7)], "membership": [0, 10**6, 10**30]}
GUESSES |= {"invitation": GUESSES["membership"], "token": ["made-up", "x" * 500]}
GUESSES |= {name: GUESSES["membership"] for name in ("guardianship", "family_invitation", "notification", "session")}
GUESSES |= {"family_token": GUESSES["token"], "access_token": GUESSES["token"]}
GUESSES |= {
    "report": GUESSES["patient"],
    "measurement": GUESSES["patient"],
    "export": GUESSES["patient"],
    "erasure": GUESSES["patient"],
    "removed_measurement": GUESSES["membership"],
    "dispatch": GUESSES["membership"],
    "sender": GUESSES["membership"],
    "arrival": GUESSES["patient"],
    "discarded_arrival": GUESSES["patient"],
}


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.of])
def test_a_guessed_key_is_not_found(sent, hospital, name):
    route = ROUTES[name]
    for person, get, post in zip(PEOPLE, route.get, route.post, strict=True):
        for method, answer in (("get", get), ("post", post)):
            if answer in REFUSED:
                continue
            for guess in GUESSES[route.of]:
                assert sent(person, method, path_at(name, route.of, guess)).status_code == 404


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.get == OWN_CLINICIANS])
def test_what_is_another_hospitals_looks_like_what_does_not_exist(request, sent, name):
    route = ROUTES[name]
    others = sent("bob", "get", path_to(name, route.of, request.getfixturevalue(route.of)))
    guessed = sent("bob", "get", reverse(name, kwargs={"pk": uuid.UUID(int=7)}))
    assert without_what_changes(others) == without_what_changes(guessed)


def without_what_changes(response):
    """The page without its tokens and the minute, which paper shows and which may end in between."""
    return re.sub(rb"\w{64}|\d\d:\d\d", b"", response.content)


@pytest.mark.parametrize(
    ("person", "path"),
    [
        ("alice", "/studies/"),
        ("tess", "/studies/"),
        ("ada", "/members/"),
        ("mother", "/family/"),
        ("anonymous", "/accounts/login/"),
    ],
)
def test_everybody_lands_where_their_work_is(sent, person, path, db):
    assert sent(person, "get", "/")["Location"] == path


def names_of(patterns, namespace=""):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from names_of(pattern.url_patterns, inner)
        else:
            yield f"{namespace}{pattern.name}"


def test_every_route_has_a_row_and_every_row_a_route():
    names = {name for name in names_of(get_resolver().url_patterns) if not name.startswith("admin:")}
    programs = {name for name in names if name.startswith("api:") and name not in ROUTES}  # see `test_api_routes`
    assert names - programs == ROUTES.keys() | ACCOUNT_ROUTES.keys()


@pytest.mark.parametrize("name", ACCOUNT_ROUTES)
def test_the_pages_of_the_account(sent, name):
    path = reverse(name, kwargs=ACCOUNT_KEYS.get(name, {}))
    signed_in, anonymous = ACCOUNT_ROUTES[name]
    for person, status in (("alice", signed_in), ("mother", signed_in), ("anonymous", anonymous)):
        response = sent(person, "get", path)
        assert response.status_code == status
        assert "default-src 'self'" in response["Content-Security-Policy"]


# Hospitals' administrators come in, too: see tests/clinical/administration.
@pytest.mark.parametrize("person", ["alice", "tess", "bob", "mother", "charlie"])
def test_the_administration_is_closed_to_everybody_who_administers_nothing(sent, db, person):
    for name in names_of(get_resolver().url_patterns):
        try:
            path = reverse(name)
        except NoReverseMatch:  # needs the key of a row; its list is tried
            continue
        if name.startswith("admin:") and name not in ("admin:login", "admin:logout"):
            assert sent(person, "get", path)["Location"] == f"/admin/login/?next={path}"
            assert sent(person, "post", path)["Location"] == f"/admin/login/?next={path}"
    assert sent(person, "get", "/admin/login/").status_code == 403
