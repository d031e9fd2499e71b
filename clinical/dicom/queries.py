import django_filters
from django.db.models import Exists, OuterRef, Q

from clinical.dicom.models import Arrival
from clinical.studies.models import State, Study

SORTS = {
    "received": ("received_at", "pk"),
    "name": ("family_name", "given_name", "pk"),
    "mrn": ("mrn", "pk"),
    "date": ("acquired_on?", "pk"),
}


class ArrivalFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="search", label="Name or patient ID", max_length=200)

    class Meta:
        model = Arrival
        fields = []

    def search(self, arrivals, name, value):
        """Every word in a name or the patient ID, as the header writes them."""
        for word in value.replace(",", " ").split()[:8]:
            arrivals = arrivals.filter(
                Q(family_name__icontains=word) | Q(given_name__icontains=word) | Q(mrn__icontains=word)
            )
        return arrivals


def waiting():
    """The films that nobody has filed or discarded. One that was uploaded by hand meanwhile is filed, too."""
    filed = Exists(_counting(radiograph=OuterRef("radiograph")))
    return Arrival.objects.filter(~filed | Q(for_another=True), discarded_at=None)


def other_files(submission, radiograph):
    """What is there of a SOP instance in another file, as a PACS forwards it: (studies that count, films that wait)."""
    found = {"hospital": radiograph.hospital_id, "submission": submission}
    return _counting(**found).exclude(radiograph=radiograph), waiting().filter(**found).exclude(radiograph=radiograph)


def _counting(**conditions):
    return Study.objects.filter(**conditions).exclude(state=State.CANCELLED)
