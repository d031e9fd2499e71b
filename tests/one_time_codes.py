"""What an authenticator app shows."""

from allauth.mfa.totp.internal import auth

of_the_clock = auth.yield_hotp_counters_from_time


def code_of(key):
    """The code of the period that counts now: see the fixture `one_time_codes_last`."""
    [period] = auth.yield_hotp_counters_from_time()
    return auth.format_hotp_value(auth.hotp_value(key, period))
