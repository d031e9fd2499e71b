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
        token = next(cookie.value for cookie in self.session.cookies if cookie.name.endswith("csrftoken"))
        data = {**data, "csrfmiddlewaretoken": token}
        return self.session.post(self.address + path, data=data, timeout=60, allow_redirects=False, **kwargs)

    def _expect(self, response, *statuses):
        if response.status_code not in statuses:
            raise Unexpected(f"{response.request.method} answered {response.status_code}")

    def sign_in(self, email, password, code=""):
        """`code`: of the authenticator app, where the account has one."""
        self._get("/accounts/login/")
        response = self._post("/accounts/login/", {"login": email, "password": password})
        if response.status_code != 302:
            raise Unexpected("the portal did not accept the e-mail and password")
        if response.headers["Location"] == "/accounts/2fa/authenticate/":
            response = self._post("/accounts/2fa/authenticate/", {"code": code})
            if response.status_code != 302:
                raise Unexpected("the portal did not accept the code of the second factor")
        if "/accounts/2fa/" in self._get("/").url:
            raise Unexpected("the account has no second factor yet; sign in with a browser once to set it up")

    def create_patient(self, sex):
        """Returns the path of a new patient of ten years."""
        page = self._get("/patients/new/").text
        self.hospital = re.search(r'name="hospital"\s+value="(\d+)"', page)[1]
        today = date.today()
        number = secrets.token_hex(6)
        fields = {
            "hospital": self.hospital,
            "mrn": f"SMOKE-{number}",
            "family_name": f"Smoke test {number}",  # of two of one name and age the portal asks whether they are one
            "sex": sex,
            "date_of_birth": today.replace(year=today.year - 10, day=min(today.day, 28)).isoformat(),
        }
        response = self._post("/patients/new/", fields)
        self._expect(response, 302)
        return response.headers["Location"]

    def open_upload(self, patient):
        """Open a patient's upload page; returns the key of its form."""
        form = re.search(r'name="submission" value="([0-9a-f-]+)"', self._get(f"{patient}upload/").text)
        if form is None:
            raise Unexpected("the upload page has no form")
        return form[1]

    def upload(self, patient, submission, content):
        """Send the form with one radiograph, and again where it was uploaded before; returns the path of the study."""
        path, script = f"{patient}upload/", {"HX-Request": "true"}
        form = {"submission": submission, "hospital": self.hospital}
        response = self._post(path, form, files={"files": ("radiograph", content)}, headers=script)
        if response.status_code == 409:
            question = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', response.text))
            response = self._post(path, form | question, headers=script)
        self._expect(response, 200)
        return re.search(r'href="(/studies/[0-9a-f-]+/)"', response.text)[1]

    def result(self, study, timeout):
        """Waits for the bone age in months."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = self._get(f"{study}status/", headers={"Accept": "application/json", "Prefer": "wait=10"}).json()
            if status["state"] == "analysed":
                return status["bone_age_months"]
            if status["state"] not in ("queued", "analysing"):
                raise Unexpected(f"the study was {status['state']}: {status['reason']}")
            time.sleep(0.05)  # a portal where many wait already answers at once
        raise Unexpected(f"no result within {timeout:.0f} seconds")

    def archive(self, patient):
        self._post(f"{patient}archive/", {})
