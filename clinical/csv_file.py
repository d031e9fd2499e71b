"""A list as a CSV file, for spreadsheets and for research."""

import csv
import io

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.timezone import localdate
from django_scopes import scope

from clinical.audit.downloads import as_file

CHUNK = 500  # rows in memory at once
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for Latin-1


def csv_file(name, hospital, columns, keys, rows_of):
    """A download of the rows that `rows_of(some of the keys)` gives, read while it is sent.

    Rows are asked for in the hospital's scope: the request's own has ended when the server asks for the first line.
    """

    def lines():
        yield BYTE_ORDER_MARK + _text([columns])
        for start in range(0, len(keys), CHUNK):
            with scope(hospital=hospital):
                text = _text(rows_of(keys[start : start + CHUNK]))
            yield text

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    return as_file(response, content_disposition_header(True, f"{name}-{localdate():%Y-%m-%d}.csv"))


def plain(text):
    """`text` that no spreadsheet takes for a formula. For what people typed; numbers keep their minus sign."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _text(rows):
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
