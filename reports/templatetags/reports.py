import re

from django import template
from django.utils.html import format_html_join

from reports import queries

register = template.Library()

# The printed page has no fallback from one font to the next, so each run of text names its own.
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_HAN = "\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff00-\uffef"
_RUNS = re.compile(f"(?P<hangul>[{_HANGUL}]+)|(?P<han>[{_HAN}]+)|(?P<report>[^{_HANGUL}{_HAN}]+)")


@register.filter
def in_its_font(text):
    """Text of any script as spans, each with the class of the font that has its letters."""
    runs = ((run.lastgroup, run.group()) for run in _RUNS.finditer(str(text)))
    return format_html_join("", '<span class="{}">{}</span>', runs)


@register.simple_tag
def reports_of(study):
    """The reports of a study, the newest version first."""
    return list(queries.reports_of(study))
