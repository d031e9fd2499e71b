from itertools import pairwise

from django import template
from django.utils.html import format_html_join

from reports import letters, queries

register = template.Library()


@register.filter
def in_its_font(text):
    """Text of any script as spans, each with the class of the font that has its letters."""
    # The printed page has no fallback from one font to the next, so each run of text names its own.
    return format_html_join("", '<span class="{}">{}</span>', letters.runs(text))


@register.filter
def name_in_its_font(name, instead=""):
    """A name whole, or in its place that it cannot be printed and `instead`: half a name would be another's."""
    return in_its_font(name if letters.has_all(name) else f"name in a script this report cannot print{instead}")


@register.filter
def is_printable(name):
    return letters.has_all(name)


@register.simple_tag
def reports_of(study):
    """The reports of a study, the newest version first; `follows_because`: why the one before was amended."""
    reports = list(queries.reports_of(study))
    for report, before in pairwise(reports):
        report.follows_because = before.amendment_reason
    return reports
