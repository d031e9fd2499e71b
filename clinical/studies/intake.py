"""What happens to an uploaded file before it becomes a study: checked, stored once, compared with the record."""

import errno
import hashlib
from contextlib import suppress
from datetime import date

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format

from clinical.studies.image_statistics import image_statistics
from clinical.studies.models import RIGHT_HAND, Radiograph
from inference.engine import UnreadableRadiograph, read_radiograph
from inference.engine.imaging import MAX_BYTES


class StorageFull(Exception):
    def __str__(self):
        return "The portal's storage is full, so this file was not kept. Tell the platform's staff, then try again."


def read_upload(upload):
    """The bytes of an uploaded file, never more than the limit and one, which `read_radiograph` refuses."""
    return upload.read(MAX_BYTES + 1)


def store(hospital, data):
    """Check `data` and keep it: returns (Radiograph row, decoded picture).

    Raises UnreadableRadiograph or StorageFull; then nothing is kept.
    """
    picture = read_radiograph(data)
    return keep(hospital, data, picture), picture


def keep(hospital, data, picture):
    """Keep `data`, which holds the decoded `picture`, in the private storage, once for each hospital.

    Returns the Radiograph row. Raises StorageFull; then nothing is kept.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    row = _kept(hospital, sha256)
    if row is None:
        height, width = picture.pixels.shape
        row = Radiograph(
            hospital=hospital,
            sha256=sha256,
            name=write(f"radiographs/{hospital.pk}/{sha256}", data),
            format=picture.format,
            width=width,
            height=height,
            size_bytes=len(data),
            **image_statistics(picture.pixels),
        )
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:  # The same file came twice at once.
            row = Radiograph.objects.get(hospital=hospital, sha256=sha256)
    return row


@transaction.atomic
def _kept(hospital, sha256):
    """The row of a picture that is there already, or None. One that was filed for nobody stays for as long again."""
    row = Radiograph.objects.select_for_update().filter(hospital=hospital, sha256=sha256).first()
    if row:
        Radiograph.objects.filter(pk=row.pk, studies=None).update(stored_at=timezone.now())
    return row


def write(name, data):
    """Keep `data`, which is what `name` says, in the private storage under no other name; returns `name`.

    Raises StorageFull. Of what could not be written to its end nothing is kept.
    """
    storage = storages["private"]

    def is_whole():
        with suppress(FileNotFoundError):
            return storage.size(name) == len(data)
        return False

    # A file without a row is left from a process that was killed.
    if is_whole():
        return name
    storage.delete(name)
    try:
        stored = storage.save(name, ContentFile(data))
    except BaseException as error:
        if not is_whole():  # by another who came with the same
            storage.delete(name)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise
    if stored != name:  # The same came twice at once: of the second file no row would know.
        storage.delete(stored)
    return name


def reread(radiograph):
    """Decode a stored radiograph again. Raises FileNotFoundError, also where what is left is none any more."""
    with storages["private"].open(radiograph.name) as file:
        data = file.read()
    try:
        return read_radiograph(data)
    except UnreadableRadiograph as error:
        raise FileNotFoundError("The stored file is damaged.") from error


def study_date(picture, entered):
    """The day of the examination: as entered, else as the DICOM file says, else today."""
    return entered or (picture.dicom and picture.dicom.study_date) or date.today()


def mismatches(picture, patient, acquired_on):
    """Sentences on what the DICOM file says otherwise than the record. The record stands; nothing is taken over."""
    facts = picture.dicom
    if facts is None:
        return []
    notices = []
    if facts.patient_sex and facts.patient_sex != patient.sex:
        said = "female" if facts.patient_sex == "F" else "male"
        notices.append(f"The file says {said}, the record {patient.get_sex_display().lower()}.")
    if facts.birth_date and facts.birth_date != patient.date_of_birth:
        born = _day(facts.birth_date), _day(patient.date_of_birth)
        notices.append("The file says born {}, the record {}.".format(*born))
    if facts.patient_id and facts.patient_id.strip().lower() != patient.mrn.lower():
        # Not which: it may be the MRN of another child.
        notices.append("The patient ID in the file differs from the MRN of the record.")
    if facts.study_date and facts.study_date != acquired_on:
        taken = _day(facts.study_date), _day(acquired_on)
        notices.append("The file says taken on {}, the study {}.".format(*taken))
    if facts.laterality == "R":
        notices.append(RIGHT_HAND)
    return notices


def notices_of(study, acquired_on):
    """The `mismatches` of a study as if it had been made on that day; those that it has, where the file is gone."""
    try:
        return mismatches(reread(study.radiograph), study.patient, acquired_on)
    except FileNotFoundError:
        return study.notices


def _day(day):
    return date_format(day, "j F Y")
