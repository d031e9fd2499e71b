"""Somebody with a browser, for checks and benchmarks of a running portal from the outside."""

import re
import secrets
import time
from datetime import date

import requests


class Unexpected(Exception):
    """The portal answered otherwise than it should."""


class Visitor:
    """Cookies, forms and pages of the portal at `address`."""

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
            raise Unexpected(f"{response.request.method} answered {response.status_code}")

    def sign_in(self, email, password):
        self._get("/accounts/login/")
        response = self._post("/accounts/login/", {"login": email, "password": password})
        if response.status_code != 302:
            raise Unexpected("the portal did not accept the e-mail and password")

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
            raise Unexpected("the upload page has no form")
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
                raise Unexpected(f"the study was {status['state']}: {status['reason']}")
            time.sleep(0.05)
        raise Unexpected(f"no result within {timeout:.0f} seconds")

    def archive(self, patient):
        self._post(f"{patient}archive/", {})
