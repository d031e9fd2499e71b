"""Lines of the log. What an exception says may quote what somebody typed; where it happened never does."""

import logging
import re
import traceback

# Whoever has such a link is let in; `deploy/nginx.conf` leaves the same out of the proxy's log.
LINKS = re.compile(r"(/invitation/|/accounts/password/reset/key/|/accounts/confirm-email/)[^\s/?]+")


class LineFormatter(logging.Formatter):
    """Traces with the type of the exception and without its words, in all of its causes; links without their token."""

    def formatException(self, exc_info):
        _, error, _ = exc_info
        lines = []
        while error is not None:
            lines += [
                *traceback.format_tb(error.__traceback__),
                f"{type(error).__module__}.{type(error).__qualname__}\n",
            ]
            error = error.__cause__ or error.__context__
        return "".join(lines).rstrip()

    def format(self, record):
        copy = logging.makeLogRecord(record.__dict__)
        copy.exc_text = None  # as another formatter may have left it
        if isinstance(copy.args, dict) and "exc" in copy.args:  # Celery, of a task that failed
            copy.args = copy.args | {"exc": "", "traceback": "", "args": "", "kwargs": ""}
        return LINKS.sub(r"\1-", super().format(copy))
