"""Is this file the one that the portal made? Answered to anybody, about the file alone."""

import re
from enum import Enum

from clinical.accounts.scope import every_hospital
from reports.models import Report


class Verdict(Enum):
    GENUINE = "genuine"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


def verify(code, sha256):
    """Compare a check code, in the form of `new_code`, and the hash of a file, 64 hexadecimal digits, with the reports.

    A right code with another hash is as unknown as a wrong code: the file is not what was signed. A file that the
    portal has let go of since, with the patient's name, is as genuine as it was.
    """
    with every_hospital():
        report = Report.objects.filter(code=code, sha256=sha256).first()
    if report is None:
        return Verdict.UNKNOWN
    return Verdict.SUPERSEDED if report.superseded_at else Verdict.GENUINE


def normal_code(text):
    """What was typed, as a check code is stored: capitals, in groups of four."""
    characters = re.sub(r"[^0-9A-Z]", "", text.upper())
    return "-".join(characters[start : start + 4] for start in range(0, len(characters), 4))
