import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_scopes import scopes_disabled

from clinical.accounts.models import Hospital
from clinical.accounts.scope import tenant_task
from clinical.audit import chain
from clinical.audit.record import Verb, record

logger = logging.getLogger(__name__)


@tenant_task
def seal_due():
    """Every few seconds: give what was recorded its place in the chains."""
    with scopes_disabled():
        for key in chain.hospital_keys():
            try:
                chain.seal(key)
            except chain.BrokenChain as error:
                logger.error("Chain %s of access events is not sealed any further. %s", key, error)


@tenant_task
def remove_old():
    """Once a day, where AUDIT_RETENTION_DAYS says so: remove what is older."""
    if not settings.AUDIT_RETENTION_DAYS:
        return
    moment = timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS)
    with scopes_disabled():
        for key in chain.hospital_keys():
            try:
                number = chain.remove_older(key, moment)
            except chain.BrokenChain as error:
                logger.error("Nothing is removed from chain %s of access events. %s", key, error)
                continue
            hospital = Hospital.objects.filter(pk=key).first()
            if number:
                record(
                    Verb.REMOVE_OLD_EVENTS, hospital or Hospital(), detail=f"{number} events", hospital_id=key or None
                )
