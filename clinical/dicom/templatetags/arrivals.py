from django import template

from clinical.dicom import queries

register = template.Library()


@register.inclusion_tag("dicom/_waiting.html")
def waiting_arrivals():
    return {"number": queries.waiting().count()}
