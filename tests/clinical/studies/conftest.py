import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import radiograph_files


@pytest.fixture
def upload(client):
    """Post files to a patient's upload page: `upload(patient, ("hand.png", data), ...)`."""

    def post(patient, *files, **fields):
        headers = fields.pop("headers", {})
        uploads = [SimpleUploadedFile(name, data) for name, data in files]
        data = {"submission": "0d4d9f7e-0000-4000-8000-000000000001", **fields}
        if uploads:
            data["files"] = uploads
        return client.post(f"/patients/{patient.pk}/upload/", data, headers=headers)

    return post


@pytest.fixture
def hand():
    return ("hand.png", radiograph_files.png())
