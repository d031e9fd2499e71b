import os
import re
import secrets
import time
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

import cv2
import requests
from django.core.management import BaseCommand, CommandError

from boneage_portal import demo
from boneage_portal.management.commands.portal import prepare
from boneage_portal.supervisor import Supervisor, free_port, interrupt_on_terminate
from inference.training.phantom import draw_phantom


class StepFailed(Exception):
    pass


class Command(BaseCommand):
    help = (
        "Check a running portal from the outside: sign in, upload a radiograph, wait for the bone age. "
        "Without --url the demo portal is started on a free port for the check. For another portal the "
        "password is taken from the environment variable SMOKE_PASSWORD."
    )

    def add_arguments(self, parser):
        parser.add_argument("--url", help="address of a running portal")
        parser.add_argument("--email", default="technician@demo.example", help="a technician or doctor of it")
        parser.add_argument("--image", type=Path, help="radiograph to upload (default: a drawn phantom)")
        parser.add_argument("--sex", choices=["M", "F"], default="F")
        parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for the result")

    def handle(self, url, email, image, sex, timeout, **options):
        interrupt_on_terminate()
        self.step = "start the portal"
        try:
            with nullcontext(url) if url else _demo_portal() as address:
                visitor = Visitor(address)
                self._do("sign in", visitor.sign_in, email, os.environ.get("SMOKE_PASSWORD") or demo.password())
                patient = self._do("create a patient", visitor.create_patient, sex)
                try:
                    content = self._do("read the image", _radiograph, image, sex)
                    began = time.monotonic()
                    study = self._do("upload the radiograph", visitor.upload, patient, content)
                    months = self._do("wait for the result", visitor.result, study, timeout)
                    seconds = time.monotonic() - began
                finally:
                    visitor.archive(patient)
        except (StepFailed, requests.RequestException, OSError, RuntimeError) as error:
            raise CommandError(f"Step '{self.step}' failed: {error}") from error
        self.stdout.write(f"Bone age {months:.1f} months, {seconds:.2f} seconds from upload to result.")

    def _do(self, step, function, *arguments):
        self.step = step
        return function(*arguments)


@contextmanager
def _demo_portal():
    prepare()
    demo.create_people()
    with Supervisor(free_port()) as supervisor:
        supervisor.wait_until_ready()
        yield supervisor.address


def _radiograph(path, sex):
    if path is not None:
        return path.read_bytes()
    _, encoded = cv2.imencode(".png", draw_phantom(120, sex, seed=secrets.randbelow(2**31)))
    return encoded.tobytes()


class Visitor:
    """Somebody with a browser: cookies, forms, pages."""

    def __init__(self, address):
        self.address = address.rstrip("/")
        self.session = requests.Session()
        self.session.headers["Referer"] = f"{self.address}/"

    def _get(self, path, **kwargs):
        response = self.session.get(self.address + path, timeout=30, **kwargs)
        self._expect(response, 200)
        return response

    def _post(self, path, data, **kwargs):
        data = {**data, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        return self.session.post(self.address + path, data=data, timeout=60, allow_redirects=False, **kwargs)

    def _expect(self, response, *statuses):
        if response.status_code not in statuses:
            raise StepFailed(f"{response.request.method} answered {response.status_code}")

    def sign_in(self, email, password):
        self._get("/accounts/login/")
        response = self._post("/accounts/login/", {"login": email, "password": password})
        if response.status_code != 302:
            raise StepFailed("the portal did not accept the e-mail and password")

    def create_patient(self, sex):
        """Returns the path of a new patient of ten years."""
        self._get("/patients/new/")
        today = date.today()
        fields = {
            "mrn": f"SMOKE-{secrets.token_hex(6)}",
            "family_name": "Smoke test",
            "sex": sex,
            "date_of_birth": today.replace(year=today.year - 10, day=min(today.day, 28)).isoformat(),
        }
        response = self._post("/patients/new/", fields)
        self._expect(response, 302)
        return response.headers["Location"]

    def upload(self, patient, content):
        """Returns the path of the study."""
        path = f"{patient}upload/"
        submission = re.search(r'name="submission" value="([0-9a-f-]+)"', self._get(path).text)
        if submission is None:
            raise StepFailed("the upload page has no form")
        response = self._post(
            path,
            {"submission": submission[1]},
            files={"files": ("smoke.png", content)},
            headers={"HX-Request": "true"},
        )
        self._expect(response, 200)
        return re.search(r'href="(/studies/[0-9a-f-]+/)"', response.text)[1]

    def result(self, study, timeout):
        """Waits for the bone age in months."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = self._get(f"{study}status/", headers={"Accept": "application/json"}).json()
            if status["state"] == "analysed":
                return status["bone_age_months"]
            if status["state"] not in ("queued", "analysing"):
                raise StepFailed(f"the study was {status['state']}: {status['reason']}")
            time.sleep(0.05)
        raise StepFailed(f"no result within {timeout:.0f} seconds")

    def archive(self, patient):
        self._post(f"{patient}archive/", {})
