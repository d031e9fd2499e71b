"""When the portal without Docker is taken to be up."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from django.http.request import validate_host

from boneage_portal.supervisor import Supervisor


@pytest.fixture
def supervisor(settings):
    """Of a web process that answers to ALLOWED_HOSTS alone, as Django does."""

    class Web(BaseHTTPRequestHandler):
        def do_GET(self):
            host = self.headers["Host"].partition(":")[0]
            self.send_response(200 if validate_host(host, settings.ALLOWED_HOSTS or ["localhost"]) else 400)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        supervisor = Supervisor(server.server_port)
        supervisor.children["web"] = SimpleNamespace(poll=lambda: None)
        yield supervisor
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "hosts", [["boneage.hospital.example"], [".hospital.example", "localhost"], ["*"], [], ["127.0.0.1"]]
)
def test_a_portal_is_asked_by_a_name_that_it_answers_to(supervisor, settings, hosts):
    settings.ALLOWED_HOSTS = hosts
    supervisor.wait_until_ready(timeout=2)


def test_a_web_process_that_has_ended_is_not_waited_for(supervisor):
    supervisor.children["web"].poll = lambda: 1
    with pytest.raises(RuntimeError, match="its message is above"):
        supervisor.wait_until_ready(timeout=2)


def test_mails_and_reports_name_the_address_that_the_portal_listens_on(monkeypatch):
    monkeypatch.delenv("PORTAL_URL", raising=False)
    assert Supervisor(8017).environment["PORTAL_URL"] == "http://127.0.0.1:8017"
    assert Supervisor(8017, "0.0.0.0").environment["PORTAL_URL"] == "http://localhost:8017"
    monkeypatch.setenv("PORTAL_URL", "https://boneage.hospital.example")
    assert Supervisor(8017).environment["PORTAL_URL"] == "https://boneage.hospital.example"


def test_an_address_of_ipv6_is_written_in_brackets():
    supervisor = Supervisor(8017, "::1")
    assert supervisor.address == "http://[::1]:8017"
    assert "[::1]:8017" in supervisor.commands["web"]
