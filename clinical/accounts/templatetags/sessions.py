from django import template
from ua_parser import parse

register = template.Library()


@register.filter
def device(user_agent):
    """A browser in words: "Firefox on Windows" as far as its user agent says so."""
    found = parse(user_agent)
    browser = found.user_agent.family if found.user_agent else "Unknown browser"
    return f"{browser} on {found.os.family}" if found.os else browser
