"""What would make sign-in weaker than it looks."""

import os

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security)
def limits_are_shared(app_configs, **kwargs):
    """Each web process with a memory of its own would allow all attempts anew, and a used code a second time."""
    is_own = settings.CACHES["default"]["BACKEND"] == "django.core.cache.backends.locmem.LocMemCache"
    if not is_own or int(os.environ.get("WEB_CONCURRENCY") or 1) == 1:
        return []
    hint = "Set CACHE_URL to a Redis, such as rediscache://localhost:6379/1."
    return [Warning("Several web processes do not share the counts of attempts.", hint=hint, id="accounts.W001")]
