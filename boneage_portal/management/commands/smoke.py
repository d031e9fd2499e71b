import os
import secrets
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import requests
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management import BaseCommand, CommandError

from boneage_portal import demo
from boneage_portal.management.commands.portal import prepare
from boneage_portal.supervisor import Supervisor, free_port, interrupt_on_terminate
from boneage_portal.visitor import Unexpected, Visitor
from inference.training.phantom import draw_phantom


class Command(BaseCommand):
    help = (
        "Check a running portal from the outside: sign in, upload a radiograph, wait for the bone age. "
        "Without --url the demo portal is started on a free port for the check. For another portal the "
        "password is taken from the environment variable SMOKE_PASSWORD, and the key of its authenticator app, "
        "if it has one, from SMOKE_TOTP_KEY."
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
                password = os.environ.get("SMOKE_PASSWORD") or demo.password()
                code = self._do("read SMOKE_TOTP_KEY", _code)
                self._do("sign in", visitor.sign_in, email, password, code)
                patient = self._do("create a patient", visitor.create_patient, sex)
                try:
                    content = self._do("read the image", _radiograph, image, sex)
                    form = self._do("open the upload page", visitor.open_upload, patient)
                    began = time.monotonic()
                    study = self._do("upload the radiograph", visitor.upload, patient, form, content)
                    months = self._do("wait for the result", visitor.result, study, timeout)
                    seconds = time.monotonic() - began
                finally:
                    visitor.archive(patient)
        except (Unexpected, requests.RequestException, OSError, RuntimeError) as error:
            raise CommandError(f"Step '{self.step}' failed: {error}") from error
        self.stdout.write(f"Bone age {months:.1f} months, {seconds:.2f} seconds from upload to result.")

    def _do(self, step, function, *arguments):
        self.step = step
        return function(*arguments)


@contextmanager
def _demo_portal():
    prepare()
    demo.relax()
    demo.create_people()
    with Supervisor(free_port()) as supervisor:
        supervisor.wait_until_ready()
        yield supervisor.address


def _code():
    key = os.environ.get("SMOKE_TOTP_KEY", "").replace(" ", "")  # as apps show it
    try:
        return format_hotp_value(hotp_value(key, int(time.time()) // mfa_settings.TOTP_PERIOD)) if key else ""
    except ValueError:
        raise Unexpected("it is no key of an authenticator app") from None


def _radiograph(path, sex):
    if path is not None:
        return path.read_bytes()
    _, encoded = cv2.imencode(".png", draw_phantom(120, sex, seed=secrets.randbelow(2**31)))
    return encoded.tobytes()
