"""The life of a Report, which follows that of its study: opened by signing, made by a worker, released, superseded.

As with an Analysis the database is the truth and a task only the wake-up call: every change is one conditional UPDATE,
and a sweep sends again what was lost.
"""

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.dispatch import receiver
from django.utils import timezone

from clinical import sweep
from clinical.accounts.models import Hospital
from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from clinical.growth.preterm import completed_weeks
from clinical.patients.erasure import erasing, film_going
from clinical.patients.models import ErasureMode
from clinical.stored import lying_in
from clinical.studies import workflow as studies
from clinical.studies.workflow import WrongState
from reports import dispatch
from reports.models import Report, State

WITHOUT_FILM = {"state": State.FAILED, "pdf": "", "indication": "", "amendment_reason": ""}

MAX_ATTEMPTS = 3


@receiver(studies.signed)
def open_report(sender, study, actor, **kwargs):
    """The next version of the report of a study that was just signed."""
    # Two doctors who sign at once wait for one another here, so that no number is given twice.
    hospital = Hospital.objects.select_for_update(no_key=True).get(pk=study.hospital_id)
    last = Report.objects.filter(study=study).order_by("-version").first()
    report = Report.objects.create(
        hospital=hospital,
        study=study,
        review=study.review,
        number=last.number if last else _next_number(hospital),
        version=last.version + 1 if last else 1,
        signed_by=actor,
        acquired_on=study.acquired_on,
        indication=study.indication,
        date_of_birth=study.patient.date_of_birth,
        gestational_age=study.patient.gestational_age,
    )
    record(Verb.CREATE, report, actor=actor)
    deliver(report)


def _next_number(hospital):
    """ "R-2026-000042": the running number of the hospital in this year, wide enough to sort as text."""
    prefix = f"R-{timezone.localdate().year}-"
    numbers = Report.objects.filter(hospital=hospital, number__startswith=prefix).order_by("-number")
    last = numbers.values_list("number", flat=True).first()
    return f"{prefix}{int(last.removeprefix(prefix)) + 1 if last else 1:06}"


@receiver(studies.released)
def release_report(sender, study, actor, **kwargs):
    """Let the family have the current report. Raises WrongState while there is no file."""
    report = Report.objects.current(study)
    if report is None or report.state == State.FAILED:
        raise WrongState("The report could not be made. Make it again on this page, then release it.")
    if report.state == State.MAKING:
        raise WrongState("The report is still being made; try again in a moment.")
    Report.objects.filter(pk=report.pk).update(released_at=timezone.now())


@receiver(studies.amended)
def supersede_report(sender, study, actor, reason, **kwargs):
    Report.objects.filter(study=study, superseded_at=None).update(
        superseded_at=timezone.now(), superseded_by=actor, amendment_reason=reason
    )


@receiver(erasing)
def let_go(sender, patient, mode, files, **kwargs):
    """The PDFs go. Of an anonymised patient number, hash and check code stay: what was handed out can be checked."""
    reports = Report.objects.filter(study__patient=patient)
    files += _files(reports)
    dispatch.let_go(reports)
    if mode == ErasureMode.ERASE:
        reports.delete()
    else:
        made = When(sha256="", then=Value("The patient was anonymised before the PDF was made, so there is none."))
        reports.update(
            **WITHOUT_FILM,
            reason=Case(made, default=Value("The PDF was removed when the patient was anonymised.")),
            date_of_birth=patient.date_of_birth.replace(day=1),
            gestational_age=completed_weeks(patient.gestational_age),
        )


@receiver(film_going)
def let_go_of_film(sender, studies, files, **kwargs):
    """Their PDFs show the film of another patient."""
    reports = Report.objects.filter(study__in=studies)
    files += _files(reports)
    dispatch.let_go(reports)
    reports.update(**WITHOUT_FILM, reason="The PDF showed the film of another patient, and was removed.")


def _files(reports):
    return [name for report in reports for name in (report.pdf, *lying_in(f"reports/{report.pk}"))]


def deliver(report):
    """Send the wake-up call to the workers once the transaction is safe in the database."""
    from reports.tasks import make

    Report.objects.filter(pk=report.pk).update(delivered_at=timezone.now())
    kwargs = {"report_id": str(report.pk), "hospital_id": report.hospital_id}
    # A broker that is down must not fail the signature: the sweep delivers later what is in the database.
    transaction.on_commit(lambda: make.apply_async(kwargs=kwargs), robust=True)


def start(report_id):
    """The report to be made now, or None when that is done already."""
    waiting = Report.objects.filter(pk=report_id, state=State.MAKING)
    if not waiting.update(attempt=F("attempt") + 1, started_at=timezone.now()):
        return None
    related = "hospital", "signed_by", "review__doctor", "review__analysis__model_version", "study__patient"
    return Report.objects.select_related(*related, "study__radiograph", "study__hospital").get(pk=report_id)


def finish(report, pdf):
    """Keep the bytes of the PDF and their hash, and send the report to the archives. Of two workers one wins."""
    storage = storages["private"]
    name = storage.save(f"reports/{report.pk}/{report.attempt}.pdf", ContentFile(pdf))
    ready = {"state": State.READY, "pdf": name, "sha256": hashlib.sha256(pdf).hexdigest(), "reason": ""}
    with transaction.atomic():
        if won := Report.objects.filter(pk=report.pk, state=State.MAKING).update(**ready):
            dispatch.send(report)
    if not won:
        storage.delete(name)


def fail(report, reason):
    Report.objects.filter(pk=report.pk, state=State.MAKING).update(state=State.FAILED, reason=reason)


@transaction.atomic
def retry(report, actor):
    """Make a failed report once more. Raises WrongState when it is not failed, was made before, or its patient is
    anonymised by now.
    """
    again = {"state": State.MAKING, "attempt": 0, "reason": ""}
    # Another PDF has another hash: what was handed out under this code would be called a forgery.
    failed = Report.objects.filter(pk=report.pk, state=State.FAILED, sha256="", study__patient__anonymised_at=None)
    if not failed.update(**again):
        raise WrongState("This report has moved on meanwhile; look at where it stands now.")
    record(Verb.RETRY, report, actor=actor)
    deliver(report)


def deliver_due():
    """Send again what has lost its worker or its message. Returns the number of reports."""
    with every_hospital(), transaction.atomic():
        due = list(sweep.due(Report.objects.filter(state=State.MAKING)))
        for report in due:
            if report.attempt < MAX_ATTEMPTS:
                deliver(report)
            else:
                fail(report, "The worker was lost each time it made this report. Try again later.")
    return len(due)
