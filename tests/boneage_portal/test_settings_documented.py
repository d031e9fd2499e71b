"""One list of variables in three places: settings.py reads it, docs/settings.md explains it, .env.example shows it."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "settings.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def variables_of_the_settings():
    tree = ast.parse((ROOT / "boneage_portal" / "settings.py").read_text())
    return sorted(
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
    )


def variables_of_the_engine():
    files = (ROOT / "inference" / "engine").glob("*.py")
    return {name for file in files for name in re.findall(r'os\.environ\.get\("(\w+)"', file.read_text())}


VARIABLES = variables_of_the_settings()
EXAMPLES = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE))
INTERPOLATED = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE))
PORTAL = yaml.safe_load(COMPOSE)["x-portal"]["environment"]


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_explained(name):
    assert f"\n| `{name}` |" in DOCUMENT


@pytest.mark.parametrize("name", [name for name in VARIABLES if name != "ENV_FILE"])  # which names the file itself
def test_a_variable_is_in_the_example(name):
    assert name in EXAMPLES


def test_the_example_and_the_document_hold_no_other_variable():
    explained = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", DOCUMENT, re.MULTILINE))
    others = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} | variables_of_the_engine()  # boto3's
    assert explained - INTERPOLATED - set(VARIABLES) == others
    assert EXAMPLES.issubset(explained)


def test_compose_gives_the_portal_variables_it_knows():
    """A misspelt one would be passed over in silence."""
    others = {"WEB_CONCURRENCY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # Gunicorn's, boto3's
    others |= variables_of_the_engine() - {"BONEAGE_WEIGHTS"}  # a folder of another machine
    assert set(PORTAL) - set(VARIABLES) == others


def test_compose_passes_every_variable_on():
    """One that it did not would keep its default, whatever .env says: a retention, for one."""
    of_the_image = {"ENV_FILE", "VAR_DIR", "PRIVATE_ROOT", "STATIC_ROOT"}
    never_where_there_is_a_patient = {"DEBUG"}
    assert set(VARIABLES) - set(PORTAL) == of_the_image | never_where_there_is_a_patient


def test_compose_asks_for_variables_that_are_explained():
    assert INTERPOLATED.issubset(re.findall(r"`([A-Z0-9_]+)`", DOCUMENT))


@pytest.mark.parametrize("service", ["dicom", "worker-default"])
def test_who_speaks_tls_on_the_dicom_network_has_its_files(service):
    """The receiver, and the workers that send reports to the archives."""
    volumes = yaml.safe_load(COMPOSE)["services"][service]["volumes"]
    assert volumes == ["private:/var/lib/boneage/private", "${TLS_DIR:-./deploy/tls}:/etc/dicom/tls:ro"]


def test_compose_holds_no_secret():
    secret = re.compile(r"^\s+\w*(?:SECRET|PASSWORD|KEY)\w*:[ \t]*(\S.*)?$", re.MULTILINE)
    values = [value for value in secret.findall(COMPOSE) if value]
    assert values
    assert all(value.startswith("${") for value in values)
