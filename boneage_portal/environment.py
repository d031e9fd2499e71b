"""How the settings read the environment, so that a slip of the pen leaves no guard off without a word."""

import environ
from django.core.exceptions import ImproperlyConfigured


class Environment(environ.Env):
    """An empty variable is one that is not set. Raises ImproperlyConfigured for a value of another kind."""

    def get_value(self, var, cast=None, default=None, **options):
        value = self.ENVIRON.get(var, "").strip()
        if not value:
            return default
        if cast is bool and value.lower() not in (*self.BOOLEAN_TRUE_STRINGS, "false", "off", "n", "no", "0"):
            raise ImproperlyConfigured(f"{var} must be on or off, and is {value!r}.")
        if cast is list:
            return [item.strip() for item in value.split(",") if item.strip()]
        try:
            return super().get_value(var, cast, default, **options)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a number, and is {value!r}.") from None

    def one_of(self, var, default, choices):
        value = self.str(var, default)
        if value not in choices:
            raise ImproperlyConfigured(f"{var} must be one of {', '.join(choices)}.")
        return value

    def address(self, var, default, schemes, read=str):
        """What `read` makes of a URL of one of the `schemes`; another is not quoted, as it may hold a password."""
        value = self.str(var, default)
        try:
            if value.partition("://")[0] in schemes:
                return read(value)
        except ValueError:  # of a port that is no number
            pass
        *others, last = (f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(
            f"{var} must be a URL that begins with {', '.join(others)} or {last}, and in which characters such as "
            "@ / : # of a password are percent-encoded."
        ) from None
