"""SECURITY.md promises nothing that no test holds."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = (TESTS.parent / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", DOCUMENT)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file, name):
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_line_that_is_met_by_the_portal_names_its_test():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.splitlines() if line[:1] == "|"]
    judged = [row for row in rows if len(row) == 4 and row[1] in ("yes", "in part", "no", "by the hospital")]
    assert len(judged) > 35
    assert [row[0] for row in judged if row[1] in ("yes", "in part") and "::" not in row[3]] == []


def test_the_modules_and_links_that_are_named_are_there():
    for path in re.findall(r"\]\(([^)#]+)", DOCUMENT):
        assert (TESTS.parent / path).exists()
