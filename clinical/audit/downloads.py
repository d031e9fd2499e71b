"""Handing out private files. The access is on record before a byte leaves."""

from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import storages
from django.http import FileResponse, Http404, HttpResponse
from django.utils.http import content_disposition_header

from clinical.audit.record import record


def deliver(request, obj, verb, name, *, content_type, filename, as_attachment=False):
    """Answer with the file `name` of the private storage, which belongs to `obj`.

    Behind a reverse proxy with an internal location (ACCEL_REDIRECT_PREFIX) the proxy sends the bytes.
    Raises Http404 when the storage holds no such file.
    """
    storage = storages["private"]
    if not name or not storage.exists(name):
        raise Http404("This file is not in the storage.")
    record(verb, obj, request=request, detail=filename.rsplit(".", 1)[0])
    if settings.ACCEL_REDIRECT_PREFIX:
        response = HttpResponse()
        response["X-Accel-Redirect"] = quote(settings.ACCEL_REDIRECT_PREFIX + name)
    else:
        response = FileResponse(storage.open(name))
    response["Content-Type"] = content_type
    response["Content-Disposition"] = content_disposition_header(as_attachment, filename)
    response["Cache-Control"] = "no-store"  # a shared workstation keeps no patient's picture
    response["X-Content-Type-Options"] = "nosniff"
    return response
