import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import Http404

from clinical.audit.downloads import deliver
from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb
from tests.factories import StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
CONTENT = b"eight bits"


@pytest.fixture
def study(patient):
    study = StudyFactory(patient=patient)
    storages["private"].save(study.radiograph.name, ContentFile(CONTENT))
    yield study
    storages["private"].delete(study.radiograph.name)


@pytest.fixture
def download(rf, alice, study):
    request = rf.get("/")
    request.user = alice
    responses = []

    def answer(name=study.radiograph.name, as_attachment=True):
        kind = {"content_type": "application/octet-stream", "filename": "original.dcm"}
        responses.append(deliver(request, study, Verb.DOWNLOAD, name, **kind, as_attachment=as_attachment))
        return responses[-1]

    yield answer
    for response in responses:
        response.close()


def test_a_download_is_a_file_to_save_and_never_a_page_to_open(download):
    response = download()
    assert b"".join(response) == CONTENT
    assert response["Content-Disposition"] == 'attachment; filename="original.dcm"'
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Length"] == str(len(CONTENT))


def test_a_picture_is_shown_in_its_page(download):
    assert download(as_attachment=False)["Content-Disposition"] == 'inline; filename="original.dcm"'


def test_a_download_is_on_record_before_a_byte_leaves(download, study, alice):
    download()
    event = AccessEvent.objects.get()
    assert (event.verb, event.actor, event.object_key, event.detail) == ("download", alice, str(study.pk), "original")


def test_behind_a_proxy_the_proxy_sends_the_bytes(download, study, settings):
    settings.ACCEL_REDIRECT_PREFIX = "/private/"
    response = download()
    assert response["X-Accel-Redirect"] == f"/private/{study.radiograph.name}"
    assert response.content == b""
    assert response["Content-Disposition"] == 'attachment; filename="original.dcm"'
    assert AccessEvent.objects.count() == 1


def test_the_proxy_is_given_a_name_it_can_read(download, settings):
    settings.ACCEL_REDIRECT_PREFIX = "/private/"
    name = storages["private"].save("odd name #1.png", ContentFile(CONTENT))
    assert download(name)["X-Accel-Redirect"] == "/private/odd%20name%20%231.png"
    storages["private"].delete(name)


@pytest.mark.parametrize("prefix", ["", "/private/"])
@pytest.mark.parametrize("name", ["", "radiographs/gone"])
def test_a_missing_file_is_not_found_and_not_on_record(download, settings, prefix, name):
    settings.ACCEL_REDIRECT_PREFIX = prefix
    with pytest.raises(Http404):
        download(name)
    assert not AccessEvent.objects.exists()
