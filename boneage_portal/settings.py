"""Settings, all from the environment (or `.env`); `docs/settings.md` explains each variable.

Without any variable but SECRET_KEY this is the embedded installation: SQLite, private files under `var/`,
a Celery worker on the filesystem broker. Production differs by variables alone.
"""

from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from boneage_portal.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()
Environment.read_env(env.path("ENV_FILE", BASE_DIR / ".env"))

# --- what kind of installation this is ----------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
HTTPS = env.bool("HTTPS", not DEBUG)
VAR_DIR = BASE_DIR / env.str("VAR_DIR", "var")

SECRET_KEY = env.str("SECRET_KEY", "")
if DEBUG and not SECRET_KEY:
    SECRET_KEY = "django-insecure-for-development-only"
if not DEBUG and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5 or SECRET_KEY.startswith("django-insecure-")):
    raise ImproperlyConfigured(
        "SECRET_KEY is missing or weak. Set it to at least 50 random characters, for example the output of: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "boneage_portal",
    "clinical.accounts",
    "clinical.audit",
    "clinical.notices",
    "inference",
    "clinical.patients",
    "clinical.studies",
    "clinical.dicom",
    "clinical.charts",
    "reports",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.forms",
    "clinical.administration.apps.AdministrationConfig",  # Django's own, with another site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "boneage_portal.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "clinical.accounts.sessions.SessionLimitMiddleware",
    "clinical.accounts.api.AccessTokenMiddleware",
    "clinical.accounts.scope.HospitalScopeMiddleware",
    "clinical.accounts.second_factor.SecondFactorMiddleware",
    "boneage_portal.not_allowed.NotAllowedMiddleware",
]

ROOT_URLCONF = "boneage_portal.urls"
WSGI_APPLICATION = "boneage_portal.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- data ----------------------------------------------------------------------------------------------------

DATABASES = {
    "default": env.address(
        "DATABASE_URL",
        f"sqlite:///{VAR_DIR}/boneage.sqlite3",
        ["sqlite", "postgres", "postgresql"],
        env.db_url_config,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Web and worker write at once: a writer takes its lock at BEGIN and the other waits, instead of failing
    # when a read lock is upgraded; WAL lets readers go on meanwhile. Mapped into memory, the file is read in place
    # instead of page by page through a cache of 2 MB: the dashboards join many rows in a third less time.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=1073741824;",
    }
else:
    DATABASES["default"]["ENGINE"] = "clinical.accounts.postgresql"
# SQLite's too: closing the last connection writes the whole WAL back, at the end of every request and task.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Tell PostgreSQL the scope, for policies that bind the role in DATABASE_URL: `manage.py row_security`.
ROW_SECURITY = env.bool("ROW_SECURITY", False)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Limits on attempts are counted here: what all web processes share, as soon as there is a Redis.
BROKER_URL = env.address("BROKER_URL", f"filesystem://{VAR_DIR}/broker", ["filesystem", "redis", "rediss"])
CACHES = {
    "default": env.address(
        "CACHE_URL",
        BROKER_URL if BROKER_URL.startswith("redis") else "locmemcache://",
        ["locmemcache", "rediscache", "redis", "rediss"],
        env.cache_url_config,
    )
}

# Radiographs and whatever is made of them are never under a URL of the web server; views hand them out.
PRIVATE_STORAGES = {
    "filesystem": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": env.str("PRIVATE_ROOT", str(VAR_DIR / "private")),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "s3": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.str("S3_BUCKET", ""),
            "endpoint_url": env.str("S3_ENDPOINT", "") or None,
            "region_name": env.str("S3_REGION", "") or None,
            "default_acl": "private",
            "querystring_auth": True,  # who has no signed link of `clinical.audit.downloads` has none at all
            "file_overwrite": True,
        },
    },
}
PRIVATE_STORAGE = env.one_of("PRIVATE_STORAGE", "filesystem", PRIVATE_STORAGES)
STORAGES = {
    "private": PRIVATE_STORAGES[PRIVATE_STORAGE],
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# With S3: for how long a download's signed link is valid; 0: the portal sends the bytes itself.
S3_LINK_SECONDS = env.int("S3_LINK_SECONDS", 0) if PRIVATE_STORAGE == "s3" else 0
if not 0 <= S3_LINK_SECONDS <= 300:
    raise ImproperlyConfigured("S3_LINK_SECONDS is at most 300: a link works for whoever has it.")
# Where a reverse proxy serves private files itself: the location of its internal redirect, e.g. /private/.
ACCEL_REDIRECT_PREFIX = env.str("ACCEL_REDIRECT_PREFIX", "") if PRIVATE_STORAGE == "filesystem" else ""

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / env.str("STATIC_ROOT", str(VAR_DIR / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "clinical.charts.scripts.ChartScriptFinder",
]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ROOT = BASE_DIR / "static" / "root"  # what has its address by custom: /favicon.ico, /robots.txt
WHITENOISE_ALLOW_ALL_ORIGINS = False

# Larger parts go to a temporary file, so that 25 MB uploads do not sit in memory.
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FILES = 200

# --- people and sign-in --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "clinical.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "clinical.accounts.forms.LoginForm",
    "add_email": "clinical.accounts.forms.AddEmailForm",
    "change_password": "clinical.accounts.forms.ChangePasswordForm",
    "reset_password": "clinical.accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "clinical.accounts.forms.ResetPasswordKeyForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = False  # several people share a hospital's computer
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 60 * env.int("REAUTHENTICATION_MINUTES", 5)
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Bone Age Portal] "
# Beside allauth's own. Uploads in bulk are one request a file.
ACCOUNT_RATE_LIMITS = {"verify_report": "20/m/ip", "accept_invitation": "20/m/ip", "upload": "600/m/user"}
INVITATION_DAYS = env.int("INVITATION_DAYS", 7)

REQUIRE_MFA = env.bool("REQUIRE_MFA", not DEBUG)
MFA_ADAPTER = "clinical.accounts.adapter.SecondFactorAdapter"
USERSESSIONS_ADAPTER = "clinical.accounts.adapter.SessionsAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {"add_webauthn": "clinical.accounts.forms.AddPasskeyForm"}
MFA_TOTP_ISSUER = "Bone Age Portal"
MFA_TOTP_TOLERANCE = 0  # allauth remembers a used code for one period: with more, one could be used again
# Accounts are invited: nobody can open one with an address that is not theirs and lock its owner out.
MFA_ALLOW_UNVERIFIED_EMAIL = True
SESSION_IDLE_SECONDS = 60 * env.float("SESSION_IDLE_MINUTES", 15)

# The identity provider of the hospital; none without OIDC_ISSUER.
OIDC_ISSUER = env.str("OIDC_ISSUER", "").rstrip("/")
OIDC_DOMAINS = [domain.lower().lstrip("@") for domain in env.list("OIDC_DOMAINS", default=[])]
OIDC_SECOND_FACTOR = env.bool("OIDC_SECOND_FACTOR", False)
SOCIALACCOUNT_ADAPTER = "clinical.accounts.single_sign_on.IdentityProviderAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS = {}
form_targets = [SELF]
if OIDC_ISSUER:
    if not OIDC_DOMAINS:
        raise ImproperlyConfigured("OIDC_DOMAINS must name the domains of the addresses that OIDC_ISSUER speaks for.")
    if not OIDC_ISSUER.startswith("https://") and HTTPS:
        raise ImproperlyConfigured("OIDC_ISSUER must begin with https://.")
    provider = {
        "provider_id": "hospital",
        "name": env.str("OIDC_NAME", "your hospital account"),
        "client_id": env.str("OIDC_CLIENT_ID", ""),
        "secret": env.str("OIDC_CLIENT_SECRET", ""),
        "settings": {"server_url": OIDC_ISSUER},
    }
    if not provider["client_id"] or not provider["secret"]:
        raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, as registered there.")
    SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [provider], "OAUTH_PKCE_ENABLED": True}}
    form_targets.append("{0.scheme}://{0.netloc}".format(urlsplit(OIDC_ISSUER)))  # the button there is a form

# --- programs ------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["clinical.accounts.api.AccessTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["clinical.accounts.api.IsClinician"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "600/min"},
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["clinical.accounts.api.Filters", "clinical.accounts.api.Sorts"],
    "DEFAULT_PAGINATION_CLASS": "clinical.accounts.api.Pages",
    "DEFAULT_METADATA_CLASS": None,  # the description says more than OPTIONS would
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "clinical.accounts.api.explain",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
KNOX_TOKEN_MODEL = "accounts.AccessToken"
MIGRATION_MODULES = {"knox": None}  # they make its own table, too, which would stand there unused
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "boneage_"}  # scanners for secrets know them by it
SPECTACULAR_SETTINGS = {
    "TITLE": "Bone Age Portal",
    "DESCRIPTION": "For programs of a hospital: register patients, submit radiographs, fetch bone ages and reports.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/api/v\d+",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "clinical.accounts.api.describe_refusals",
    ],
}

# --- DICOM ---------------------------------------------------------------------------------------------------

# Where films come in from modalities and the PACS: `manage.py dicom_receiver`. 0: nowhere.
DICOM_PORT = env.int("DICOM_PORT", 0)
DICOM_BIND = env.str("DICOM_BIND", "127.0.0.1")
DICOM_TLS_CERTIFICATE = env.str("DICOM_TLS_CERTIFICATE", "")
DICOM_TLS_KEY = env.str("DICOM_TLS_KEY", "") or None
DICOM_TLS_CA = env.str("DICOM_TLS_CA", "")

# --- audit and privacy ---------------------------------------------------------------------------------------

AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", 0)  # 0: access events are kept for ever
NOTIFICATION_DAYS = env.int("NOTIFICATION_DAYS", 365)  # 0: notifications are kept for ever
ERASURE_WAIT_DAYS = env.int("ERASURE_WAIT_DAYS", 7)
PATIENT_EXPORT_HOURS = env.int("PATIENT_EXPORT_HOURS", 48)

# --- mail ----------------------------------------------------------------------------------------------------

# The embedded installation writes mails to files; they hold links, never patient data.
vars().update(env.address("EMAIL_URL", f"filemail:///{VAR_DIR}/mail", [*env.EMAIL_SCHEMES], env.email_url_config))
EMAIL_TIMEOUT = 10  # a server that hangs would hold the threads of the web process for ever
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Bone Age Portal <noreply@localhost>")
# A worker that mails a link has no request to take the portal's address from.
PORTAL_URL = env.str("PORTAL_URL", "http://localhost:8000").rstrip("/")
if not PORTAL_URL.startswith(("https://", "http://")):
    raise ImproperlyConfigured("PORTAL_URL must begin with https:// (or http://): mails and reports name it for good.")

# --- tasks ---------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SOFT_TIME_LIMIT = env.int("TASK_SOFT_TIME_LIMIT_SECONDS", 240)
CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT + 60
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "inference.tasks.analyse": {"queue": "inference"},
    "inference.tasks.read_shadow": {"queue": "inference"},
    "inference.tasks.try_version": {"queue": "inference"},
    "clinical.studies.tasks.draw_row": {"queue": "inference"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    task: {"task": task, "schedule": seconds}
    for seconds, tasks in [
        (env.int("AUDIT_SEAL_SECONDS", 10), ["clinical.audit.tasks.seal_due"]),
        (
            env.int("SWEEP_SECONDS", 60),
            [
                "clinical.notices.tasks.mail_all_due",
                "clinical.patients.tasks.carry_out_erasures",
                "clinical.patients.tasks.end_with_childhood",
                "clinical.patients.tasks.keep_up_copies",
                "clinical.studies.tasks.compare_due",
                "clinical.studies.tasks.judge_due",
                "inference.tasks.requeue_due",
                "reports.tasks.deliver_due",
            ],
        ),
        (
            24 * 3600,
            [
                "clinical.accounts.tasks.clear_sessions",
                "clinical.accounts.tasks.tell_of_tokens_that_end",
                "clinical.audit.tasks.remove_old",
                "clinical.dicom.tasks.remove_discarded",
                "clinical.notices.tasks.remove_old",
                "clinical.studies.tasks.remove_unfiled",
            ],
        ),
    ]
    for task in tasks
}
# A message that outlives the visibility timeout is delivered twice: keep it beyond the hard time limit.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 2 * CELERY_TASK_TIME_LIMIT}
if CELERY_BROKER_URL.startswith("filesystem://"):
    broker_folder = Path(urlsplit(CELERY_BROKER_URL).path)
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(broker_folder / "messages"),
        "data_folder_out": str(broker_folder / "messages"),
        "control_folder": str(broker_folder / "control"),
        "polling_interval": 0.05,
    }
    for folder in ("messages", "control"):
        (broker_folder / folder).mkdir(parents=True, exist_ok=True, mode=0o700)

# --- inference -----------------------------------------------------------------------------------------------

INFERENCE_MODEL = env.str("INFERENCE_MODEL", "two_stage_wide_hand")
# A version of the model that comes with an update: serves at once, or waits as a candidate for an administrator.
INFERENCE_ACTIVATE_ON_DEPLOY = env.bool("INFERENCE_ACTIVATE_ON_DEPLOY", True)
INFERENCE_RUNTIME = env.str("INFERENCE_RUNTIME", "onnx")
# An analysis whose worker is silent for this long is taken to be lost and queued again.
INFERENCE_LEASE_SECONDS = env.int("INFERENCE_LEASE_SECONDS", 60)
INFERENCE_MAX_ATTEMPTS = env.int("INFERENCE_MAX_ATTEMPTS", 3)

# --- browser security ----------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": form_targets,
        "upgrade-insecure-requests": HTTPS,
    },
}
SECURE_REFERRER_POLICY = "same-origin"
# With the prefix a browser takes the cookie from this very host over HTTPS alone, never from a neighbour's page.
SESSION_COOKIE_NAME = "__Host-boneage_session" if HTTPS else "boneage_session"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script reads it
SESSION_COOKIE_AGE = 12 * 3600  # however busy; see SESSION_IDLE_SECONDS
# A message may name a child, and ends with the session: a cookie of its own would greet whoever signs in next with it.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True  # allauth sees to it at a sign-in by password alone
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
# Whom to write to who finds a hole, as mailto: or https: address, for /.well-known/security.txt.
SECURITY_CONTACT = env.str("SECURITY_CONTACT", "")
SECURE_REDIRECT_EXEMPT = [r"^healthz/$"]  # the container's own health check speaks plain HTTP
if env.bool("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", 1)

# --- language, time, log -------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = "boneage_portal.formats"
TIME_ZONE = env.str("TIME_ZONE", "UTC")

LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
# Names of files, patients and queries never reach the log: messages carry primary keys only.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "boneage_portal.log.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "xhtml2pdf": {"level": "CRITICAL"},  # its warnings quote the page
        "pynetdicom": {"level": "CRITICAL"},  # what it logs quotes headers of films
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
