import logging

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError

from clinical.accounts.scope import every_hospital, tenant_task
from clinical.patients import copies, erasure, families

logger = logging.getLogger(__name__)


@tenant_task
def make_export(*, export_id):
    """Make the copy of one patient's record. Safe to be delivered twice: the second finds nothing to do."""
    try:
        copies.make(export_id)
    except DatabaseError:
        raise  # Nothing can be written: the sweep delivers it again.
    except SoftTimeLimitExceeded:
        copies.fail(export_id, "The copy took too long. Ask for it again when the portal is less busy.")
    except Exception as error:
        # Without the error's own words, which may quote the record.
        logger.error("Export %s: %s", export_id, type(error).__name__)
        copies.fail(
            export_id, "The copy could not be made. Ask for it again; if it stays so, tell the platform's staff."
        )


@tenant_task
def carry_out_erasures():
    """Every minute: see `erasure.carry_out_due`."""
    with every_hospital():
        if number := erasure.carry_out_due():
            logger.info("Erased or anonymised %s patients", number)


@tenant_task
def end_with_childhood():
    """Every minute: see `families.end_with_childhood`."""
    with every_hospital():
        if number := families.end_with_childhood():
            logger.info("Ended the access of %s parents and guardians", number)


@tenant_task
def keep_up_copies():
    """Every minute: send lost copies again, remove those whose time is over."""
    with every_hospital():
        copies.deliver_due()
        copies.expire()
