"""Ask the advisory service of PyPI about every pinned package; `make audit` runs it.

Exit codes: 0 all packages were looked up and none is known to be vulnerable; 1 one is; 2 some could not be looked up.
`--tolerate-outage` says so as loudly, but ends with 0: a build does not fail because a service elsewhere does.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
ATTEMPTS = 2

# Advisory -> why it does not concern the portal, and until when that stands.
IGNORED: dict[str, str] = {}


def ask():
    """What pip-audit found, as its JSON's list of packages; None where the service did not answer."""
    files = [option for name in REQUIREMENTS for option in ("--requirement", str(ROOT / name))]
    # Every version is pinned, so nothing has to be resolved or installed.
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "15", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", *files, *options]
    process = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(process.stdout)["dependencies"]
    except ValueError:
        print(process.stderr.strip()[-500:], file=sys.stderr)
        return None


def judge(packages):
    """(lines about vulnerable packages, names of those that were not looked up)"""
    found, unknown = [], []
    for package in packages:
        if "skip_reason" in package:
            unknown.append(package["name"])
        for advisory in package.get("vulns", []):
            if not {advisory["id"], *advisory["aliases"]} & IGNORED.keys():
                fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
                found.append(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    return found, unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tolerate-outage", action="store_true")
    options = parser.parse_args()
    found, unknown = [], list(REQUIREMENTS)
    for _ in range(ATTEMPTS):
        packages = ask()
        if packages is not None:
            found, unknown = judge(packages)
        if not unknown:
            break
    for line in found:
        print(f"VULNERABLE  {line}")
    if found:
        return 1
    if unknown:
        print(f"NOT AUDITED  The advisory service did not know or did not answer for: {', '.join(unknown)}")
        return 0 if options.tolerate_outage else 2
    print(f"{len(packages)} packages, none known to be vulnerable; {len(IGNORED)} advisories ignored with a reason")
    return 0


if __name__ == "__main__":
    sys.exit(main())
