"""No key, token or password is kept with the code. What looks like one and is none stands in `.secrets.baseline`;
`.venv/bin/detect-secrets scan --baseline .secrets.baseline` puts it there, `detect-secrets audit` asks about each.
"""

import subprocess
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.core import baseline
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parents[2]
BASELINE = baseline.load_from_file(ROOT / ".secrets.baseline")


@pytest.fixture
def scanned(monkeypatch):
    """What is found in files of the project, less what is known."""
    monkeypatch.chdir(ROOT)

    def scan(*names):
        found = SecretsCollection()
        with transient_settings(BASELINE):
            found.scan_files(*names)
            return {(name, secret.type) for name, secret in found - baseline.load(BASELINE)}

    return scan


def test_no_file_of_the_project_holds_a_secret(scanned):
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a Git checkout")
    assert scanned(*tracked.stdout.rstrip("\0").split("\0")) == set()


def test_a_secret_would_be_found(scanned, tmp_path):
    key, head = "AKIA" + "QYLPMN5HHHFPZAM2", "-----BEGIN RSA " + "PRIVATE KEY-----"
    (tmp_path / "settings.py").write_text(f'AWS_ACCESS_KEY_ID = "{key}"\nKEY = """{head}"""\n')
    found = scanned(str(tmp_path / "settings.py"))
    assert {kind for _, kind in found} == {"AWS Access Key", "Private Key"}
