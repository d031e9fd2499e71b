"""The portal's settings for tests: everything it writes goes to a folder of this process, passwords are cheap."""

import os
import tempfile

os.environ.setdefault("SECRET_KEY", "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz")
os.environ["ENV_FILE"] = os.devnull
os.environ["DEBUG"] = "off"
os.environ["HTTPS"] = "off"
os.environ["SECURITY_CONTACT"] = "mailto:security@hospital.example"
os.environ["REQUIRE_MFA"] = "off"
os.environ["CACHE_URL"] = "locmemcache://"
VAR = tempfile.TemporaryDirectory(prefix="boneage-tests-")
os.environ["VAR_DIR"] = VAR.name

from boneage_portal.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
REST_FRAMEWORK["DEFAULT_THROTTLE_CLASSES"] = []  # noqa: F405
