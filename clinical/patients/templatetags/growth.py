from django import template

register = template.Library()

SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


@register.filter
def judged(centile):
    """A Centile -> "3rd centile, z −1.88", or why the table has no value."""
    if centile.z is None:
        return centile.reason
    return f"{_place(centile.centile)}, z\N{NO-BREAK SPACE}{centile.z:+.2f}".replace("-", "−")


def _place(percent):
    if percent < 1:
        return "below the 1st centile"
    if percent > 99:
        return "above the 99th centile"
    whole = round(percent)
    suffix = "th" if whole in (11, 12, 13) else SUFFIXES.get(whole % 10, "th")
    return f"{whole}{suffix} centile"
