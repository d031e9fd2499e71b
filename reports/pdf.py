"""A report as a PDF. xhtml2pdf knows tables and pictures, but neither grid nor flex; and it may read the fonts only."""

import io
from pathlib import Path

from django.template.loader import render_to_string
from svglib.fonts import register_font
from xhtml2pdf import pisa
from xhtml2pdf.config.resources import ResourceAccessPolicy

PRINTED = Path(__file__).parent / "printed"
READABLE = ResourceAccessPolicy.server(PRINTED, allow_remote=False)

register_font("Report", str(PRINTED / "DejaVuSansCondensed.ttf"))  # for the texts of the chart


class Unprintable(Exception):
    """The page could not be laid out."""


def render(content):
    """The bytes of the PDF of a report or draft, from what `reports.content` gathered."""
    html = render_to_string("reports/report.html", {**content, "folder": PRINTED})
    buffer = io.BytesIO()
    if pisa.pisaDocument(html, buffer, resource_policy=READABLE).err:
        raise Unprintable
    return buffer.getvalue()
