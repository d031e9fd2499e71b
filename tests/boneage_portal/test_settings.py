"""The settings, read in a process of their own: what a wrong or a bare environment gives."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, sys
from boneage_portal import settings
print(json.dumps({name: getattr(settings, name, None) for name in sys.argv[1:]}))
"""


@pytest.fixture
def python(tmp_path):
    """Run Python in the project with these variables alone."""

    def run(*arguments, **variables):
        environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path), **variables}
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def settings_of(python):
    def read(*names, **variables):
        process = python("-c", SHOW, *names, **{"SECRET_KEY": secrets.token_urlsafe(50), **variables})
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return read


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("k3#9" * 12, id="short"),
        pytest.param("abcd" * 20, id="repeated"),
        pytest.param("django-insecure-" + "0123456789" * 5, id="django's own"),
    ],
)
def test_a_weak_secret_refuses_to_start_and_says_so(python, secret):
    variables = {} if secret is None else {"SECRET_KEY": secret}
    process = python("manage.py", "check", **variables)
    assert process.returncode != 0
    assert "SECRET_KEY is missing or weak. Set it to at least 50 random characters" in process.stderr
    assert not secret or secret not in process.stderr


def test_the_message_about_the_secret_holds_a_way_to_make_one(python):
    advice = python("manage.py", "check").stderr.rsplit("python3 -c '")[-1].split("'")[0]
    secret = python("-c", advice).stdout.strip()
    assert python("manage.py", "check", SECRET_KEY=secret).returncode == 0


def test_debug_needs_no_secret(settings_of):
    assert settings_of("DEBUG", SECRET_KEY="", DEBUG="on") == {"DEBUG": True}


def test_check_deploy_finds_nothing(python):
    process = python(
        *["manage.py", "check", "--deploy", "--fail-level", "WARNING"], SECRET_KEY=secrets.token_urlsafe(50)
    )
    assert process.returncode == 0, process.stderr


def test_what_is_not_set_is_safe(settings_of):
    assert settings_of(
        "DEBUG",
        "SECURE_SSL_REDIRECT",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SECURE_HSTS_SECONDS",
        "SECURE_PROXY_SSL_HEADER",
    ) == {
        "DEBUG": False,
        "SECURE_SSL_REDIRECT": True,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_HSTS_SECONDS": 365 * 24 * 3600,
        "SECURE_PROXY_SSL_HEADER": None,  # without a proxy anybody could send the header
    }


def test_a_server_is_one_variable_away(settings_of):
    chosen = settings_of(
        "DATABASES",
        "CACHES",
        "CELERY_BROKER_URL",
        DATABASE_URL="postgres://boneage:secret@db.example:5433/boneage",
        CACHE_URL="rediscache://redis.example:6379/1",
        BROKER_URL="redis://redis.example:6379/0",
    )
    database = chosen["DATABASES"]["default"]
    assert (database["ENGINE"], database["HOST"], database["PORT"]) == (
        "clinical.accounts.postgresql",
        "db.example",
        5433,
    )
    assert chosen["CACHES"]["default"]["BACKEND"] == "django.core.cache.backends.redis.RedisCache"
    assert chosen["CELERY_BROKER_URL"] == "redis://redis.example:6379/0"


@pytest.mark.parametrize(
    ("broker", "cache"),
    [("redis://redis.example:6379/0", "redis.RedisCache"), ("filesystem:///tmp/broker", "locmem.LocMemCache")],
)
def test_attempts_are_counted_where_all_processes_see_it(settings_of, tmp_path, broker, cache):
    chosen = settings_of("CACHES", BROKER_URL=broker.replace("/tmp", str(tmp_path)))
    assert chosen["CACHES"]["default"]["BACKEND"] == f"django.core.cache.backends.{cache}"


def test_in_production_staff_need_a_second_factor(settings_of):
    chosen = {"REQUIRE_MFA": True, "SESSION_IDLE_SECONDS": 900, "ACCOUNT_REAUTHENTICATION_TIMEOUT": 300}
    assert settings_of(*chosen) == chosen


def test_a_variable_that_is_empty_is_one_that_is_not_set(settings_of):
    names = ["REQUIRE_MFA", "HTTPS", "DICOM_PORT", "PRIVATE_STORAGES", "ALLOWED_HOSTS", "CELERY_BROKER_URL"]
    empty = ["REQUIRE_MFA", "HTTPS", "DICOM_PORT", "PRIVATE_ROOT", "ALLOWED_HOSTS", "BROKER_URL"]
    assert settings_of(*names, **dict.fromkeys(empty, "")) == settings_of(*names)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("REQUIRE_MFA", "ture", "REQUIRE_MFA must be on or off, and is 'ture'."),
        ("AUDIT_RETENTION_DAYS", "6 years", "AUDIT_RETENTION_DAYS must be a number, and is '6 years'."),
        ("LOG_LEVEL", "verbose", "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL."),
        ("PORTAL_URL", "boneage.hospital.example", "PORTAL_URL must begin with https://"),
        (
            "DATABASE_URL",
            "mysql://db/b",
            "DATABASE_URL must be a URL that begins with sqlite://, postgres:// or",
        ),
        ("DATABASE_URL", "/srv/boneage.sqlite3", "DATABASE_URL must be a URL that begins with sqlite://"),
        (
            "BROKER_URL",
            "localhost:6379",
            "BROKER_URL must be a URL that begins with filesystem://, redis:// or rediss://",
        ),
        ("CACHE_URL", "memory://", "CACHE_URL must be a URL that begins with locmemcache://"),
        ("EMAIL_URL", "mail.example:587", "EMAIL_URL must be a URL that begins with smtp://"),
    ],
)
def test_a_slip_of_the_pen_is_told_and_switches_nothing_off(python, name, value, words):
    process = python("manage.py", "check", SECRET_KEY=secrets.token_urlsafe(50), **{name: value})
    assert process.returncode != 0
    assert words in process.stderr


@pytest.mark.parametrize(
    "url", ["mongo://boneage:secret@db.example/boneage", "postgres://boneage:secret@db.example:x/b"]
)
def test_an_address_that_is_refused_is_not_quoted(python, url):
    refused = python("manage.py", "check", SECRET_KEY=secrets.token_urlsafe(50), DATABASE_URL=url).stderr
    assert "DATABASE_URL must be a URL that begins with" in refused
    assert "secret" not in refused


def test_a_list_may_have_spaces_after_its_commas(settings_of):
    names = {"ALLOWED_HOSTS": ["boneage.hospital.example", "localhost"], "SECRET_KEY_FALLBACKS": ["old", "older"]}
    assert settings_of(*names, **{name: ", ".join(values) for name, values in names.items()}) == names


def test_a_mail_server_that_hangs_is_given_up(settings_of):
    assert settings_of("EMAIL_TIMEOUT", EMAIL_URL="smtp+tls://mail.example:587") == {"EMAIL_TIMEOUT": 10}


def test_a_relative_folder_starts_at_the_project(settings_of, tmp_path):
    relative = os.path.relpath(tmp_path, ROOT)
    folder = ROOT / relative
    chosen = settings_of("DATABASES", "CELERY_BROKER_TRANSPORT_OPTIONS", VAR_DIR=relative)
    assert chosen["DATABASES"]["default"]["NAME"] == str(folder / "boneage.sqlite3")
    assert chosen["CELERY_BROKER_TRANSPORT_OPTIONS"]["control_folder"] == str(folder / "broker" / "control")


def test_an_unknown_storage_is_refused_with_the_names_of_those_there_are(python):
    process = python("manage.py", "check", SECRET_KEY=secrets.token_urlsafe(50), PRIVATE_STORAGE="ftp")
    assert "PRIVATE_STORAGE must be one of filesystem, s3." in process.stderr


def test_the_proxy_sends_only_files_that_lie_on_its_own_disk(settings_of):
    assert settings_of("ACCEL_REDIRECT_PREFIX", ACCEL_REDIRECT_PREFIX="/private/", PRIVATE_STORAGE="s3") == {
        "ACCEL_REDIRECT_PREFIX": ""
    }


def test_with_https_cookies_belong_to_this_host_alone_and_browsers_keep_to_https(settings_of):
    assert settings_of(
        *["SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "CSRF_COOKIE_HTTPONLY", "SECURE_HSTS_INCLUDE_SUBDOMAINS"],
        *["SECURE_HSTS_PRELOAD", "SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH"],
    ) == {
        "SESSION_COOKIE_NAME": "__Host-boneage_session",
        "CSRF_COOKIE_NAME": "__Host-csrftoken",
        "CSRF_COOKIE_HTTPONLY": True,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
        "SECURE_HSTS_PRELOAD": True,
        # The prefix asks for both of Django's defaults.
        "SESSION_COOKIE_DOMAIN": None,
        "SESSION_COOKIE_PATH": None,
    }
    assert settings_of("SESSION_COOKIE_NAME", HTTPS="off") == {"SESSION_COOKIE_NAME": "boneage_session"}


ANSWER = """
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
plain, secure = Client().get("/accounts/login/"), Client().get("/accounts/login/", secure=True)
print(plain.status_code, plain["Location"])
print(secure["Strict-Transport-Security"])
print(secure["Content-Security-Policy"])
for cookie in secure.cookies.values():
    print(cookie.key, cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], repr(cookie["domain"]))
"""


def test_a_portal_with_https_answers_so(python):
    process = python(
        *["-W", "ignore", "-c", ANSWER],
        SECRET_KEY=secrets.token_urlsafe(50),
        DJANGO_SETTINGS_MODULE="boneage_portal.settings",
        ALLOWED_HOSTS="testserver",
        LOG_LEVEL="ERROR",
    )
    assert process.returncode == 0, process.stderr
    redirect, hsts, policy, *cookies = process.stdout.splitlines()
    assert redirect == "301 https://testserver/accounts/login/"
    assert hsts == "max-age=31536000; includeSubDomains; preload"
    assert "upgrade-insecure-requests" in policy
    assert cookies == ["__Host-csrftoken True True Lax / ''"]


def test_a_link_to_the_storage_is_short_lived_or_refused(python, settings_of):
    assert settings_of("S3_LINK_SECONDS", PRIVATE_STORAGE="s3", S3_LINK_SECONDS="60") == {"S3_LINK_SECONDS": 60}
    assert settings_of("S3_LINK_SECONDS", S3_LINK_SECONDS="60") == {"S3_LINK_SECONDS": 0}  # files are on the disk
    too_long = {"PRIVATE_STORAGE": "s3", "S3_LINK_SECONDS": "86400"}
    assert "at most 300" in python("manage.py", "check", SECRET_KEY=secrets.token_urlsafe(50), **too_long).stderr


PROVIDER = {
    "OIDC_ISSUER": "https://login.hospital.example/realms/one/",
    "OIDC_CLIENT_ID": "portal",
    "OIDC_CLIENT_SECRET": "s3cret",
    "OIDC_DOMAINS": "Hospital.example, @clinic.example",
}


def test_an_identity_provider_is_led_to_by_the_button_and_believed_for_its_domains(settings_of):
    read = settings_of("OIDC_DOMAINS", "SOCIALACCOUNT_PROVIDERS", "CONTENT_SECURITY_POLICY", **PROVIDER)
    assert read["OIDC_DOMAINS"] == ["hospital.example", "clinic.example"]
    [provider] = read["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"]
    assert provider["settings"] == {"server_url": "https://login.hospital.example/realms/one"}
    allowed = read["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["form-action"]
    assert allowed == ["'self'", "https://login.hospital.example"]
    assert settings_of("SOCIALACCOUNT_PROVIDERS") == {"SOCIALACCOUNT_PROVIDERS": {}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"OIDC_DOMAINS": ""}, "OIDC_DOMAINS must name the domains"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"),
        ({"OIDC_ISSUER": "http://login.hospital.example"}, "OIDC_ISSUER must begin with https://."),
    ],
)
def test_half_an_identity_provider_refuses_to_start_and_says_what_is_missing(python, changed, told):
    process = python("manage.py", "check", SECRET_KEY=secrets.token_urlsafe(50), **{**PROVIDER, **changed})
    assert process.returncode != 0
    assert told in process.stderr
    assert "s3cret" not in process.stderr
