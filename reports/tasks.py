import logging
import traceback

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError

from clinical.accounts.scope import tenant_task
from reports import workflow
from reports.content import of_report
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
def deliver_due():
    """Every minute: see `workflow.deliver_due`."""
    delivered = workflow.deliver_due()
    if delivered:
        logger.info("Delivered %s due reports", delivered)
