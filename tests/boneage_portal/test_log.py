"""Links that let somebody in stand in no log, neither in the portal's nor in the proxy's."""

import logging
import re

import pytest
from django.conf import settings
from django.urls import reverse

from boneage_portal.log import LineFormatter

NGINX = (settings.BASE_DIR / "deploy" / "nginx.conf").read_text()
TOKEN = "q7VtX-open_sesame"
LINKS = {
    "accounts:accept_invitation": {"token": TOKEN},
    "patients:accept_family_invitation": {"token": TOKEN},
    "account_confirm_email": {"key": TOKEN},
    "account_reset_password_from_key": {"uidb36": "1", "key": TOKEN},
}


@pytest.fixture
def proxy_writes():
    """What the proxy's log has of an address, as nginx reads the `map` of its configuration."""
    [lines] = re.findall(r"map \$request_uri \$logged_path \{(.*?)\n    \}", NGINX, re.DOTALL)
    rules = re.findall(r"^\s+~(\S+)\s+(\S+);$", lines, re.MULTILINE)

    def write(address):
        for pattern, written in rules:
            if found := re.search(pattern.replace("?<", "?P<"), address):
                return re.sub(r"\$(\w+)", lambda name: found[name[1]], written)

    return write


@pytest.mark.parametrize(("name", "key"), LINKS.items())
def test_the_proxy_writes_no_token(proxy_writes, name, key):
    for address in (path := reverse(name, kwargs=key), path.rstrip("/"), f"{path}?from=mail"):
        written = proxy_writes(address)
        assert TOKEN not in written
        assert path.startswith(written.rstrip("-"))


def test_the_proxy_writes_other_addresses_without_what_was_searched_for(proxy_writes):
    assert proxy_writes("/patients/?q=Doe") == "/patients/"


@pytest.mark.parametrize(("name", "key"), LINKS.items())
def test_the_portal_writes_no_token_of_a_link_that_was_refused(client, db, caplog, name, key):
    path = reverse(name, kwargs=key)
    for address in (path, f"{path}more/", f"/nowhere{path}"):
        client.post(address, {"password1": "short"})
    logging.getLogger("django.security.csrf").warning("Forbidden (%s): %s", f"Referer http://testserver{path}", path)
    lines = [LineFormatter().format(record) for record in caplog.records]
    assert any(line.startswith("Not Found: /nowhere/") for line in lines)
    assert TOKEN not in "".join(lines)
