"""Which of the embedded fonts has a letter. A letter that none has would be left out of the PDF without a word."""

import itertools
import unicodedata
from functools import cache

from reportlab.pdfbase.ttfonts import TTFont

from reports.pdf import PRINTED

FONTS = {"report": "DejaVuSansCondensed", "hangul": "ReportHangul", "han": "DroidSansFallback"}  # by class of the style
BOX = "\u25a1"  # stands for a letter that no font has


@cache
def _letters():
    return {name: TTFont(file, PRINTED / f"{file}.ttf").face.charToGlyph for name, file in FONTS.items()}


@cache
def _font(letter):
    """The name of the first font that has `letter`, or None. What is never drawn, such as a joiner, is in any."""
    if unicodedata.category(letter) in ("Cc", "Cf"):
        return "report"
    return next((name for name, letters in _letters().items() if ord(letter) in letters), None)


def has_all(text):
    return all(map(_font, _composed(text)))


def runs(text):
    """`text` in pieces of (font, letters), with a box for each letter that no font has."""
    letters = [letter if _font(letter) else BOX for letter in _composed(text)]
    return [(font, "".join(run)) for font, run in itertools.groupby(letters, key=_font)]


def _composed(text):
    """With accents on their letters, and syllables for Hangul of parts: the fonts have those."""
    return unicodedata.normalize("NFC", str(text))
