"""What a name is found by, however it is typed: without case, accents and apostrophes. Imports no Django."""

import re
import unicodedata

APOSTROPHES = "'’`\u2018\u02bb\u02bc\u00b4\uff07"
# Letters that Unicode does not take apart, and what people type who do not have them on their keyboard.
PLAIN = str.maketrans("ıłøđ", "ilod")
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")


def folded(text: str) -> str:
    """ "İĞDİŞOĞLU" -> "igdisoglu", "O’Brien" -> "obrien"."""
    text = text.translate(str.maketrans("", "", APOSTROPHES))
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).translate(PLAIN)


def search_text(family_name: str, given_name: str, mrn: str) -> str:
    """All that a patient is found by; of names in scripts that know no space between them, both orders without one."""
    parts = [family_name, given_name, mrn]
    if UNSPACED.search(family_name + given_name):
        parts += ["".join(f"{family_name}{given_name}".split()), "".join(f"{given_name}{family_name}".split())]
    return folded(" ".join(parts))
