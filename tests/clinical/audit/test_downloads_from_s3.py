"""With S3_LINK_SECONDS a file to be saved comes from the storage, by a link that it signs and that expires.

The storage's own half, the check of signature and time, is redone here as its documents prescribe it.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from django.urls import reverse
from storages.backends.s3 import S3Storage

from clinical.audit.models import AccessEvent
from tests.factories import ReportFactory, StudyFactory

BUCKET = {
    "bucket_name": "radiographs",
    "endpoint_url": "https://s3.hospital.example",
    "region_name": "eu-central-1",
    "access_key": "AKIAEXAMPLE",
    "secret_key": "only-for-this-test",
    "signature_version": "s3v4",
    "addressing_style": "path",
    "querystring_auth": True,
}
QUERY = ("X-Amz-Signature", "X-Amz-Expires", "X-Amz-Date", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Algorithm")


@pytest.fixture(autouse=True)
def links_of_a_minute(settings, monkeypatch):
    private = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": BUCKET}
    settings.STORAGES = {**settings.STORAGES, "private": private}
    settings.S3_LINK_SECONDS = 60
    monkeypatch.setattr(S3Storage, "exists", lambda self, name: True)  # no storage is asked here


@pytest.fixture
def study(unscoped, patient):
    return StudyFactory(patient=patient, state="analysed", radiograph__format="dicom")


def accepted(link, at):
    """Whether the storage would answer: the signature is that of this very address, and the time is not over."""
    address, query = urlsplit(link), dict(parse_qsl(urlsplit(link).query))
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    bare = {name: value for name, value in query.items() if name not in QUERY}
    request = AWSRequest("GET", address._replace(query=urlencode(bare)).geturl())
    request.context["timestamp"] = query["X-Amz-Date"]
    credentials = Credentials(BUCKET["access_key"], BUCKET["secret_key"])
    auth = S3SigV4QueryAuth(credentials, "s3", BUCKET["region_name"], expires=int(query["X-Amz-Expires"]))
    auth._modify_request_before_signing(request)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    in_time = at < signed_at + timedelta(seconds=int(query["X-Amz-Expires"]))
    return signature == query["X-Amz-Signature"] and in_time


@pytest.fixture
def link(as_user, alice, study):
    response = as_user(alice).get(reverse("studies:original", args=[study.pk]))
    assert (response.status_code, response["Cache-Control"]) == (302, "no-store")
    return response["Location"]


def test_a_download_leads_to_the_storage_and_is_on_record_before(link, study):
    assert link.startswith(f"https://s3.hospital.example/radiographs/{study.radiograph.name}?")
    assert AccessEvent.objects.filter(verb="download", object_key=study.pk).count() == 1
    assert accepted(link, datetime.now(UTC))


def test_the_storage_is_told_to_send_it_as_a_file_that_nobody_keeps(link):
    query = parse_qs(urlsplit(link).query)
    assert query["response-content-type"] == ["application/octet-stream"]
    assert query["response-content-disposition"] == ['attachment; filename="original.dcm"']
    assert query["response-cache-control"] == ["no-store"]


def test_a_link_ends_after_its_time(link):
    assert not accepted(link, datetime.now(UTC) + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("/radiographs/radiographs/", "/radiographs/reports/"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604800"),
        ("attachment", "inline"),
        ("octet-stream", "html"),
    ],
)
def test_a_link_that_is_changed_is_void(link, part, other):
    assert part in link
    assert not accepted(link.replace(part, other), datetime.now(UTC))


@pytest.mark.parametrize(("person", "status"), [("bob", 404), ("ada", 403), ("mother", 403), (None, 302)])
def test_nobody_else_is_given_a_link(request, as_user, study, person, status):
    user = person and request.getfixturevalue(person)
    response = as_user(user).get(reverse("studies:original", args=[study.pk]))
    assert response.status_code == status
    assert "s3.hospital.example" not in response.get("Location", "")


def test_every_request_is_asked_anew_who_may_have_it(as_user, alice, study):
    client = as_user(alice)
    address = reverse("studies:original", args=[study.pk])
    assert client.get(address).status_code == 302
    alice.memberships.all().delete()
    assert client.get(address).status_code == 403


def test_a_mother_gets_her_childs_report_by_a_link_and_a_revoked_one_none(as_user, mother, study, alice):
    report = ReportFactory(
        study=study, review__doctor=alice, state="ready", pdf="reports/x.pdf", released_at="2026-01-01T00:00Z"
    )
    address = reverse("reports:family_pdf", args=[report.pk])
    client = as_user(mother)
    assert "response-content-type=application%2Fpdf" in client.get(address)["Location"]
    mother.guardianships.all().delete()
    assert client.get(address).status_code == 404
