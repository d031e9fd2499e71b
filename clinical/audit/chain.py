"""Access events as a chain for every hospital, and one for the platform: nothing changes, goes or comes unnoticed.

A request writes its event and takes no lock. Seconds later `seal` gives what has been committed its place in the chain:
a number, the SHA-256 of the event before, and its own over the content, the number and that. Only sealers wait for one
another, so requests neither wait nor lock each other out. The end of the chain is signed with SECRET_KEY.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC, timedelta

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Max, QuerySet
from django_scopes import scopes_disabled

from clinical.audit.models import CONTENT, PLATFORM, AccessEvent, Chain, ChangedValues

logger = logging.getLogger(__name__)

BATCH = 1000  # events
# An event is dated when it is written and sealed once it is committed; more than this lies between by no right means.
TOLERANCE = timedelta(hours=1)
VALUES_GO_WITH = ("anonymise", "erase")


class BrokenChain(Exception):
    """The chain does not hold. `sequence` is the number of the first event that is wrong, or None."""

    def __init__(self, sentence, sequence=None):
        super().__init__(sentence)
        self.sequence = sequence


@dataclass(frozen=True)
class Checked:
    """A chain that holds: its last event's number and hash, the events that are there and those not sealed yet."""

    number: int
    sha256: str
    events: int
    waiting: int


def digest(event, sequence, previous):
    """SHA-256 of an event at its place in the chain.

    Empty fields are left out, so that a field that is added later leaves the hashes of earlier events as they are.
    """
    content = {name: value for name in CONTENT if (value := getattr(event, name)) not in (None, "")}
    content["at"] = event.at.astimezone(UTC).isoformat(timespec="microseconds")
    content |= {"id": event.pk, "sequence": sequence, "previous": previous}
    return _sha256(content)


def values_digest(salt, values):
    return _sha256([salt, values])


def _sha256(content):
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _events(key):
    return QuerySet(AccessEvent).filter(hospital=key or None)


def _unsealed(key):
    return _events(key).filter(sequence=None).order_by("pk")


def hospital_keys():
    """The chains that there are or will be: keys of hospitals, be they deleted, and PLATFORM."""
    waiting = QuerySet(AccessEvent).filter(sequence=None).order_by().values_list("hospital", flat=True).distinct()
    return sorted({key or PLATFORM for key in waiting} | set(Chain.objects.values_list("pk", flat=True)))


def _signed(chain):
    parts = chain.pk, chain.length, chain.sha256, chain.removed, chain.removed_sha256
    return "/".join(str(part) for part in parts)


def _signer():
    return Signer(salt="clinical.audit.chain")


def _sign(chain):
    chain.signature = _signer().signature(_signed(chain))
    chain.save()


def _check_signature(chain):
    try:
        _signer().unsign(f"{_signed(chain)}:{chain.signature}")
    except BadSignature:
        raise BrokenChain(
            "The end of the chain is not signed by this portal: it was changed in the database."
        ) from None


def _locked(key):
    """The chain, for the one who may lengthen or shorten it now. Raises BrokenChain."""
    begun = Chain(pk=key)
    begun.signature = _signer().signature(_signed(begun))
    Chain.objects.bulk_create([begun], ignore_conflicts=True)  # of two sealers at once one begins it
    chain = Chain.objects.select_for_update().get(pk=key)
    _check_signature(chain)
    _check_beyond(chain, _last(key))
    return chain


def _last(key):
    """The highest number that an event bears, or 0."""
    return _events(key).aggregate(last=Max("sequence"))["last"] or 0


def _check_beyond(chain, last):
    if last > chain.length:
        raise BrokenChain(
            f"Event {last} lies beyond the end of the chain: one of them was changed in the database.", last
        )


def seal(key):
    """Give the events that wait their places in the chain; returns their number. Raises BrokenChain.

    Never builds upon an end that is not its own: whoever cut the chain off would have it signed again.
    """
    number = 0
    while True:
        with scopes_disabled(), transaction.atomic():
            if not _unsealed(key).exists():
                return number
            chain = _locked(key)
            last = _events(key).filter(sequence=chain.length).first() if chain.length > chain.removed else None
            if chain.length > chain.removed and (last is None or last.sha256 != chain.sha256):
                logger.error("%s: event %s, the last one, is gone or was changed", chain, chain.length)
            events = list(_unsealed(key)[:BATCH])
            for event in events:
                event.sequence, event.previous = chain.length + 1, chain.sha256
                event.sha256 = digest(event, event.sequence, event.previous)
                chain.length, chain.sha256 = event.sequence, event.sha256
            QuerySet(AccessEvent).bulk_update(events, ["sequence", "previous", "sha256"], batch_size=200)
            _sign(chain)
        number += len(events)
        # Where the log leaves the machine it is a witness: `manage.py verify_audit --anchor`.
        logger.info("%s: sealed to %s:%s:%s", chain, key, chain.length, chain.sha256)


def verify(key, anchors=()):
    """Walk one chain from its first event to its end; returns Checked.

    `anchors`: (number, SHA-256) that the log or a paper says of it. Raises BrokenChain at the first event that is
    wrong.
    """
    with scopes_disabled(), transaction.atomic():
        last = _last(key)  # first: the portal goes on sealing meanwhile
        chain = Chain.objects.filter(pk=key).first()
        if chain is None:
            if last:
                raise BrokenChain("The end of the chain is gone: its row was removed from the database.")
            if anchors:
                raise BrokenChain("There is no such chain, but an anchor of it.")
            return Checked(0, "", 0, _unsealed(key).count())
        _check_signature(chain)
        _walk(chain, dict(anchors))
        _check_beyond(chain, last)
        _verify_values(key)
        return Checked(chain.length, chain.sha256, chain.length - chain.removed, _unsealed(key).count())


def _walk(chain, anchors, to=None):
    to = chain.length if to is None else to
    number, before, at = chain.removed, chain.removed_sha256, None
    for event in _events(chain.pk).filter(sequence__lte=to).order_by("sequence").iterator(BATCH):
        place = number + 1
        if event.sequence != place:
            missing = (
                f"Event {place} is missing" if event.sequence > place else f"Event {event.sequence} is one too many"
            )
            raise BrokenChain(f"{missing}: it was removed, moved or added in the database.", min(place, event.sequence))
        if event.previous != before:
            raise BrokenChain(f"Event {place} does not follow the one before it.", place)
        if event.sha256 != digest(event, place, before):
            raise BrokenChain(f"Event {place} was changed: its content does not fit its hash.", place)
        if at is not None and event.at < at - TOLERANCE:
            raise BrokenChain(f"Event {place} is dated long before the one before it: it was put in later.", place)
        if anchors.get(place, event.sha256) != event.sha256:
            raise BrokenChain(f"Event {place} is another one than the anchor says.", place)
        number, before, at = place, event.sha256, event.at
    if number < to:
        raise BrokenChain(f"Event {number + 1} is missing: the end of the chain was cut off.", number + 1)
    if to == chain.length and before != chain.sha256:
        raise BrokenChain(f"Event {number} is not the one that was signed as the last.", number)
    for place in anchors:
        if place > number:
            raise BrokenChain(f"Event {place} is missing, of which there is an anchor.", place)


def _verify_values(key):
    """What changed values hold is what the events say, and none is gone but those of patients that were erased."""
    gone = {}
    told = _events(key).exclude(values_sha256="").select_related("changed_values").order_by("sequence", "pk")
    for event in told.iterator(BATCH):
        values = getattr(event, "changed_values", None)
        if values is None:
            gone.setdefault(event.patient_key, event)
        elif values_digest(values.salt, values.values) != event.values_sha256:
            raise BrokenChain(
                f"The values that event {event.sequence} changed were changed themselves.", event.sequence
            )
    erased = _events(key).filter(verb__in=VALUES_GO_WITH, patient_key__in=gone).values_list("patient_key", flat=True)
    for patient_key, event in gone.items():
        if patient_key not in set(erased):
            raise BrokenChain(f"The values that event {event.sequence} changed are gone.", event.sequence)


@scopes_disabled()
@transaction.atomic
def remove_older(key, moment):
    """Remove the events at the chain's beginning that are older than `moment`; returns their number.

    Raises BrokenChain where they do not hold: what was tampered with is not swept under the carpet.
    """
    if not Chain.objects.filter(pk=key).exists():
        return 0
    chain = _locked(key)
    rest = _events(key).filter(sequence__isnull=False, at__gte=moment).order_by("sequence").first()
    to = rest.sequence - 1 if rest else chain.length
    if to <= chain.removed:
        return 0
    _walk(chain, {}, to)
    number = to - chain.removed
    old = _events(key).filter(sequence__lte=to)
    chain.removed, chain.removed_sha256 = to, old.get(sequence=to).sha256
    _sign(chain)  # first: the database lets go of what the chain says is removed, and of nothing else
    ChangedValues.objects.filter(event__in=old).delete()
    QuerySet(AccessEvent).filter(pk__in=old.values("pk"))._raw_delete(using=old.db)
    return number
