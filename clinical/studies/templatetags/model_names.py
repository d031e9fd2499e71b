from django import template
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

register = template.Library()


@register.filter
def breakable(name):
    """The name of a model, which may go on in another line after each underscore, and nowhere else by need."""
    return format_html_join(mark_safe("_<wbr>"), "{}", ((part,) for part in name.split("_")))
