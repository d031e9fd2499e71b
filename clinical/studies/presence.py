"""Who is at a study now, as far as the record of access says, so that two doctors do not read the same film."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb
from clinical.studies.models import DONE

PRESENT = timedelta(minutes=15)
"""After so long without another page somebody is not at it any more."""
NO_PAGES = ("radiograph", "heat-map", "occlusion-map", "outcome", "perhaps the patient of a film", "upload asked about")
"""Details of what is seen without another page being opened."""
BY_A_PROGRAM = Q(detail__startswith="by ") | Q(detail__contains=", by ")


def colleagues(membership):
    """Where others of the same role are: key of a study -> what they opened it by, AccessEvents, the last one last."""
    looks = AccessEvent.objects.filter(
        hospital=membership.hospital_id,
        at__gt=timezone.now() - PRESENT,
        verb=Verb.VIEW,
        actor_role=membership.role,
    )
    looks = looks.exclude(actor=membership.user_id).exclude(Q(detail__in=NO_PAGES) | BY_A_PROGRAM).order_by("at", "pk")
    last = {look.actor_id: look for look in looks.only("actor", "actor_name", "at", "object_type", "object_key")}
    found = {}
    for look in last.values():
        if look.object_type == "study":
            found.setdefault(UUID(look.object_key), []).append(look)
    return found


def tell(studies, found):
    """Give each of `studies` its `colleagues`, where there is something left to do."""
    for study in studies:
        study.colleagues = [] if study.state in DONE else found.get(study.pk, [])
