"""The copy of a patient's record: a ZIP file of all that is held, to be read by people and by programs."""

import csv
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from operator import attrgetter

from django.core.files.storage import storages
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients.accesses import COLUMNS, row_of
from clinical.patients.fhir import bundle
from clinical.studies.models import Study

CONTENT_TYPES = {"dcm": "application/dicom", "jpg": "image/jpeg", "tiff": "image/tiff", "webp": "image/webp"}
README = """Copy of a patient's record in Bone Age Portal, made on {day}.

record.json     all values, as a FHIR R4 Bundle
radiographs/    the radiographs as they were uploaded
heat-maps/      where the model looked; not diagnostic
reports/        the signed reports
accesses.csv    who saw, changed or took something of this record, and when

Not for diagnosis without review by a physician.
"""


@dataclass(frozen=True)
class Held:
    """A file of the private storage, the path it gets in the copy, what it is, and the row that it belongs to."""

    name: str
    path: str
    content_type: str
    words: str
    key: object


def files_of(patient):
    """What the private storage holds of a patient, as Held; of a file that is gone the copy says nothing.

    Nor does it show a film that was filed here wrongly, and is another patient's by now.
    """
    held = []
    studies = Study.objects.filter(patient=patient, film_of_another=False)
    studies = studies.select_related("radiograph", "analysis").prefetch_related("reports")
    for number, study in enumerate(studies.order_by("acquired_on", "submitted_at"), 1):
        stem = f"{number:03}-{study.acquired_on}"
        extension = study.radiograph.extension
        content_type = CONTENT_TYPES.get(extension, f"image/{extension}")
        path = f"radiographs/{stem}.{extension}"
        held.append(Held(study.radiograph.name, path, content_type, "Radiograph", study.pk))
        words = "Where the model looked; not diagnostic"
        held.append(Held(study.analysis.heat_map, f"heat-maps/{stem}.png", "image/png", words, study.pk))
        for report in sorted(study.reports.all(), key=attrgetter("version")):
            held.append(Held(report.pdf, f"reports/{report.filename}", "application/pdf", "Report", report.pk))
    storage = storages["private"]
    return [file for file in held if file.name and storage.exists(file.name)]


def write(patient, file, progress):
    """Write the copy of `patient` into a binary `file`; progress(files in it, files there will be) as it grows."""
    storage, at, held = storages["private"], timezone.now(), files_of(patient)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, each in enumerate(held):
            progress(number, len(held))
            # Pictures and PDFs are packed already.
            with storage.open(each.name) as source, archive.open(_stored(each.path), "w") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        paths = {}
        for each in held:
            paths.setdefault(each.key, []).append((each.path, each.content_type, each.words))
        record = json.dumps(bundle(patient, paths, at), indent=1, ensure_ascii=False)
        archive.writestr("record.json", record)
        archive.writestr("accesses.csv", _accesses(patient))
        archive.writestr("README.txt", README.format(day=f"{at:%d %B %Y}"))
    progress(len(held), len(held))


def _stored(path):
    return zipfile.ZipInfo(path, timezone.now().timetuple()[:6])


def _accesses(patient):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    events = AccessEvent.objects.filter(patient_key=str(patient.pk)).order_by("at", "pk")
    writer.writerows(row_of(event) for event in events.iterator())
    return text.getvalue()


def temporary():
    """A file for a copy on its way: in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=16 << 20)
