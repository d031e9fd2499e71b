from django import template

from clinical.growth import ages
from clinical.growth.ages import in_full, in_words

register = template.Library()


@register.filter
def completed(value):
    """143.9 -> 143: before each filter that shows a chronological age."""
    return None if value is None else ages.completed(value)


@register.filter
def months(value):
    """148.3 -> "12 y 4 m"."""
    return "" if value is None else in_words(value)


@register.filter
def months_exact(value):
    """148.3 -> "12 y 4 m (148 m)"."""
    return "" if value is None else f"{in_words(value)} ({round(value)} m)"


@register.filter
def months_in_full(value):
    """148.3 -> "12 years and 4 months"."""
    return "" if value is None else in_full(value)


@register.filter
def signed_months(value):
    """-14.2 -> "−1 y 2 m", -2 -> "−2 m"; a true minus sign, read out as such."""
    if value is None:
        return ""
    sign = "−" if round(value) < 0 else "+" if round(value) else "±"
    return f"{sign}{in_words(abs(value)).removeprefix('0 y ')}"


@register.filter
def sds(value):
    """-1.834 -> "−1.83"."""
    return "" if value is None else f"{value:+.2f}".replace("-", "−")
