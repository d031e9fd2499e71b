"""The logo of a hospital, which platform staff upload in the administration."""

import base64
import io
import re

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from tests.factories import PASSWORD


def picture(size=(1200, 400), kind="PNG", mode="RGBA"):
    buffer = io.BytesIO()
    Image.new(mode, size, (200, 30, 60, 128)[: len(mode)]).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def path(hospital):
    return reverse("admin:accounts_hospital_change", args=[hospital.pk])


@pytest.fixture
def form(hospital):
    fields = {"name": hospital.name, "address": "1 Main Street", "paper": "a4"}
    fields |= {"bone_age_reference": "brush", "age_of_majority": 18}
    return fields | {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}


@pytest.fixture
def send(as_user, root, hospital, path, form):
    def post(**fields):
        response = as_user(root).post(path, form | fields)
        hospital.refresh_from_db()
        return response

    return post


@pytest.fixture
def send_and_confirm(client, root, hospital, path, form):
    """As somebody who is asked first to confirm that it is they, and does; the page on which that ends."""

    def post(**fields):
        client.post("/accounts/login/", {"login": root.email, "password": PASSWORD})
        assert client.post(path, form | fields)["Location"].startswith("/accounts/reauthenticate/")
        response = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path}, follow=True)
        hospital.refresh_from_db()
        assert hospital.address == "1 Main Street"
        return response

    return post


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("JPEG", "RGB")])
def test_an_uploaded_logo_becomes_a_small_opaque_png(send, hospital, kind, mode):
    assert send(new_logo=SimpleUploadedFile("logo", picture(kind=kind, mode=mode))).status_code == 302
    with storages["private"].open(hospital.logo) as file, Image.open(file) as kept:
        assert (kept.format, kept.mode, kept.size) == ("PNG", "RGB", (800, 267))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG or JPEG picture"),
        (picture()[:300], "no PNG or JPEG picture"),
        (b"", "empty"),
        (b"\x89PNG" + bytes(2_000_000), "larger than 2 MB"),
        (picture(size=(6000, 4000), mode="RGB"), "too many pixels"),
    ],
)
def test_what_is_no_logo_is_refused_in_words(send, hospital, data, sentence):
    response = send(new_logo=SimpleUploadedFile("logo.png", data))
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert hospital.logo == ""


def test_the_form_shows_the_logo_as_it_is(as_user, root, send, hospital, path):
    assert "The logo now" not in as_user(root).get(path).content.decode()
    send(new_logo=SimpleUploadedFile("logo.png", picture()))
    page = as_user(root).get(path).content.decode()
    [source] = re.findall(r'src="data:image/png;base64,([^"]+)" alt="The logo now"', page)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (800, 267)
    storages["private"].delete(hospital.logo)
    page = as_user(root).get(path)
    assert page.status_code == 200
    assert "The logo now" not in page.content.decode()


def test_the_logo_stays_until_it_is_taken_away(send, hospital):
    send(new_logo=SimpleUploadedFile("logo.png", picture()))
    send(address="2 Main Street")
    assert hospital.logo
    assert hospital.address == "2 Main Street"
    send(remove_logo="on")
    assert hospital.logo == ""


def test_a_logo_waits_while_somebody_confirms_that_it_is_they(send_and_confirm, hospital):
    send_and_confirm(new_logo=SimpleUploadedFile("logo.png", picture()))
    with storages["private"].open(hospital.logo) as file, Image.open(file) as kept:
        assert kept.size == (800, 267)


def test_what_is_no_logo_is_told_after_the_confirmation(send_and_confirm, hospital):
    page = send_and_confirm(new_logo=SimpleUploadedFile("logo.png", b"none")).content.decode()
    assert "The logo was left out. This is no PNG or JPEG picture. Upload the logo as one." in page
    assert hospital.logo == ""


def test_nobody_names_another_file_as_the_logo(send, hospital):
    assert send(kept_logo="radiographs/of/somebody.png").status_code == 302
    assert hospital.logo == ""
