import logging
import traceback

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError

from clinical.accounts.scope import tenant_task
from clinical.dicom.storage import NotStored, store
from reports import dispatch as dispatches
from reports import workflow
from reports.content import of_report
from reports.dicom_header import source
from reports.encapsulated_pdf import encapsulated_pdf
from reports.pdf import render

logger = logging.getLogger(__name__)


@tenant_task
def make(*, report_id):
    """Make the PDF of one Report. Safe to be delivered twice: the second finds nothing to do."""
    report = workflow.start(report_id)
    if report is None:
        return
    try:
        workflow.finish(report, render(of_report(report)))
    except DatabaseError:
        raise  # Nothing can be written: the sweep delivers it again.
    except Exception as error:
        # Where it happened, without the error's own words: they may quote the page.
        trace = "".join(traceback.format_tb(error.__traceback__))
        logger.error("Report %s attempt %s: %s\n%s", report.pk, report.attempt, type(error).__name__, trace)
        workflow.fail(report, _explain(error))


def _explain(error):
    match error:
        case FileNotFoundError():
            return "The stored radiograph could not be found, so there is nothing to print."
        case SoftTimeLimitExceeded():
            return "The report took too long. Try again when the portal is less busy."
        case OSError():
            return "The worker could not use its storage. Try again, or tell the platform's staff."
    return "The report could not be made. Try again; if it stays so, tell the platform's staff."


@tenant_task
def dispatch(*, dispatch_id):
    """Send one report to one archive. Safe to be delivered twice: an archive takes the same instance twice."""
    found = dispatches.start(dispatch_id)
    if found is None:
        return
    # Imported on first use: highdicom takes a second and 150 MB.
    from reports.structured_report import structured_report

    try:
        film = source(found.report.study.radiograph)
        instances = [make(found.report, film) for make in (structured_report, encapsulated_pdf)]
        store(found.archive, instances, leaving=lambda: dispatches.put_on_record(found))
    except DatabaseError:
        raise
    except NotStored as error:
        dispatches.fail(found, str(error))
    except FileNotFoundError:
        dispatches.fail(found, "The report's files could not be found in the storage.")
    except Exception as error:
        logger.error("Dispatch %s attempt %s: %s", found.pk, found.attempt, type(error).__name__)
        sentence = f"The report could not be sent to {found.archive}. If it stays so, tell the platform's staff."
        dispatches.fail(found, sentence)
    else:
        dispatches.finish(found)


@tenant_task
def deliver_due():
    """Every minute: see `workflow.deliver_due` and `dispatch.deliver_due`."""
    delivered = workflow.deliver_due() + dispatches.deliver_due()
    if delivered:
        logger.info("Delivered %s due reports", delivered)
