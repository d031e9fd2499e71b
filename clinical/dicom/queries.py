import django_filters
from django.db.models import Q

from clinical.dicom.models import Arrival

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
    return Arrival.objects.filter(discarded_at=None)
