"""What `make audit` says and how it ends, without asking the advisory service."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / ".ci" / "audit.py"
ADVISORY = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}
SOUND = {"name": "django", "version": "5.2.19", "vulns": []}
VULNERABLE = {"name": "leaky", "version": "1.0", "vulns": [ADVISORY]}
NOT_FOUND = {"name": "unheard", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.fixture
def audit(monkeypatch):
    spec = importlib.util.spec_from_file_location("audit", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def end_with(*answers, options=()):
        """The exit code where the service gives these answers one after the other."""
        given = iter(answers)
        monkeypatch.setattr(module, "ask", lambda: next(given))
        monkeypatch.setattr("sys.argv", ["audit.py", *options])
        return module.main()

    end_with.module = module
    return end_with


def test_sound_packages_pass(audit, capsys):
    assert audit([SOUND]) == 0
    assert "1 packages, none known to be vulnerable" in capsys.readouterr().out


def test_a_vulnerable_package_fails_and_is_named_even_where_an_outage_is_tolerated(audit, capsys):
    assert audit([SOUND, VULNERABLE], options=["--tolerate-outage"]) == 1
    assert "VULNERABLE  leaky 1.0: PYSEC-2026-1, fixed in 1.1" in capsys.readouterr().out


def test_a_vulnerable_package_fails_though_another_was_not_looked_up(audit):
    assert audit([NOT_FOUND, VULNERABLE], [NOT_FOUND, VULNERABLE]) == 1


@pytest.mark.parametrize("answer", [None, [SOUND, NOT_FOUND]], ids=["no answer", "a package unknown"])
def test_what_was_not_looked_up_is_not_sound(audit, capsys, answer):
    assert audit(answer, answer) == 2
    assert audit(answer, answer, options=["--tolerate-outage"]) == 0
    assert capsys.readouterr().out.count("NOT AUDITED") == 2


def test_the_service_is_asked_again_before_it_counts_as_silent(audit):
    assert audit(None, [SOUND]) == 0


def test_an_advisory_is_ignored_by_its_name_or_its_alias_with_a_reason(audit, monkeypatch):
    monkeypatch.setitem(audit.module.IGNORED, "CVE-2026-1", "The function is not called.")
    assert audit([VULNERABLE]) == 0


def test_every_ignored_advisory_has_its_reason(audit):
    assert all(len(reason) > 20 for reason in audit.module.IGNORED.values())
