from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
MB = {"m": 1, "g": 1024}


@pytest.mark.parametrize("profile", [None, "dicom"])
def test_the_services_of_a_server_have_limits_of_memory_that_fit_into_what_it_must_have(profile):
    running = [service for name, service in SERVICES.items() if name != "migrate"]
    running = [service for service in running if not {*service.get("profiles", [])} - {profile}]
    limits = [int(service["mem_limit"][:-1]) * MB[service["mem_limit"][-1]] for service in running]
    assert "8 GB of memory" in (ROOT / "docs" / "install.md").read_text()
    assert sum(limits) < 8 * 1024


def test_what_runs_only_sometimes_has_a_limit_too():
    assert all(service["mem_limit"] for service in SERVICES.values())


def test_no_log_grows_until_the_disk_is_full():
    assert all(service["logging"]["options"]["max-size"] for service in SERVICES.values())
