"""Who is told what becomes of a study."""

from django.dispatch import receiver
from django.urls import reverse

from clinical.accounts.models import Role, User
from clinical.notices.models import Kind, Notification
from clinical.notices.notify import notify, take_back
from clinical.patients.erasure import erasing
from clinical.patients.families import child_page
from clinical.studies.models import State, Study
from clinical.studies.workflow import amended, released, reviewed, urgency_set, withdrawn
from clinical.turns import take_turn
from inference.workflow import analysis_changed


def _to_be_read():
    return f"{reverse('studies:worklist')}?state={State.ANALYSED}"


def _study_page(study):
    return reverse("studies:detail", args=[study.pk])


def _doctors(hospital):
    return User.objects.filter(memberships__hospital=hospital, memberships__role=Role.DOCTOR)


def _take_turn(study):
    """So that what is ready to be read while the last before it is read is told of, not taken back with it."""
    take_turn(Kind.READING_DUE, study.hospital_id)


def report_page(study):
    """Where the family reads the report of `study`."""
    return f"{child_page(study.patient_id)}#study-{study.pk}"


@receiver(released)
def tell_the_family(sender, study, **kwargs):
    notify(
        User.objects.filter(guardianships__patient=study.patient_id),
        Kind.REPORT_READY,
        hospital=study.hospital,
        message="A report is ready.",
        url=report_page(study),
    )


@receiver(amended)
def the_report_is_back_with_the_doctor(sender, study, **kwargs):
    take_back(Kind.REPORT_READY, report_page(study))


@receiver(analysis_changed)
def tell_the_staff(sender, analysis, **kwargs):
    if analysis.is_pending and not analysis.previous_id:  # nobody has been told anything that this changes
        return
    study = getattr(analysis, "study", None)
    if study is None:
        return
    page = _study_page(study)
    if analysis.state in (State.FAILED, State.REJECTED):
        notify(
            User.objects.filter(pk=study.submitted_by_id, memberships__hospital=study.hospital),
            Kind.STUDY_STOPPED,
            hospital=study.hospital,
            message=f"A radiograph that you submitted could not be read. {analysis.reason}",
            url=page,
        )
    elif analysis.previous_id:
        take_back(Kind.STUDY_STOPPED, page)
    if study.state == State.ANALYSED:  # and not read by a doctor while another version was at it
        _take_turn(study)
        notify(
            _doctors(study.hospital),
            Kind.READING_DUE,
            hospital=study.hospital,
            message="Studies are ready for reading.",
            url=_to_be_read(),
        )
        tell_of_urgency(Study, study)


@receiver(urgency_set)
def tell_of_urgency(sender, study, actor=None, **kwargs):
    """Tell the doctors, but for the `actor`, who knows."""
    if study.urgent and study.state == State.ANALYSED:
        notify(
            _doctors(study.hospital).exclude(pk=actor and actor.pk),
            Kind.URGENT_READING,
            hospital=study.hospital,
            message="An urgent study is ready for reading.",
            url=_study_page(study),
        )
    else:
        take_back(Kind.URGENT_READING, _study_page(study))


@receiver(withdrawn)
def nothing_is_left_to_be_put_right(sender, study, **kwargs):
    take_back(Kind.STUDY_STOPPED, _study_page(study))


@receiver([reviewed, withdrawn])
def nothing_is_left_to_be_read(sender, study, **kwargs):
    take_back(Kind.URGENT_READING, _study_page(study))
    _take_turn(study)
    if not Study.objects.filter(hospital=study.hospital_id, state=State.ANALYSED).exists():
        take_back(Kind.READING_DUE, _to_be_read(), hospital=study.hospital_id)


@receiver(erasing)
def nothing_is_told_of_it(sender, patient, **kwargs):
    for study in patient.studies.all():
        Notification.objects.about(_study_page(study)).delete()
