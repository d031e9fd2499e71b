"""Handing out private files. The access is on record before a byte leaves.

A file has no address of its own: every request passes the view that knows who may have it. The one exception is a
download from S3 with S3_LINK_SECONDS, whose bytes come from the storage by a link that it signs and that soon expires.
"""

from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import storages
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.utils.http import content_disposition_header

from clinical.audit.record import Verb, record

# A file is nobody's page: it runs nothing and loads nothing. Browsers open no PDF in a sandbox, and what is not
# sandboxed is made by the portal, never uploaded.
ISOLATED = "default-src 'none'; frame-ancestors 'none'"
SANDBOXED = f"{ISOLATED}; sandbox"


def deliver(request, obj, verb, name, *, content_type, filename, as_attachment=False):
    """Answer with the file `name` of the private storage, which belongs to `obj`.

    Behind a reverse proxy with an internal location (ACCEL_REDIRECT_PREFIX) the proxy sends the bytes.
    Raises Http404 when the storage holds no such file.
    """
    storage = storages["private"]
    if not name or not storage.exists(name):
        raise Http404("This file is not in the storage.")
    record(verb, obj, request=request, detail=filename.rsplit(".", 1)[0])
    disposition = content_disposition_header(as_attachment, filename)
    if as_attachment and settings.S3_LINK_SECONDS:
        answer = {"ContentType": content_type, "ContentDisposition": disposition, "CacheControl": "no-store"}
        parameters = {f"Response{key}": value for key, value in answer.items()}
        link = storage.url(name, parameters=parameters, expire=settings.S3_LINK_SECONDS)
        return HttpResponseRedirect(link)
    if settings.ACCEL_REDIRECT_PREFIX:
        location = quote(settings.ACCEL_REDIRECT_PREFIX + name)
        response = HttpResponse(content_type=content_type, headers={"X-Accel-Redirect": location})
    else:
        response = FileResponse(storage.open(name), content_type=content_type)
    return as_file(response, disposition)


def deliver_made(request, obj, content, *, content_type, filename, as_attachment=False):
    """Answer with the bytes `content`, which were made of `obj` for this request and are kept nowhere."""
    record(Verb.DOWNLOAD, obj, request=request, detail=filename.rsplit(".", 1)[0])
    response = HttpResponse(content, content_type=content_type)
    return as_file(response, content_disposition_header(as_attachment, filename))


def as_file(response, disposition):
    """`response` with the headers that every file has."""
    response["Content-Disposition"] = disposition
    response["Content-Security-Policy"] = ISOLATED if response["Content-Type"] == "application/pdf" else SANDBOXED
    return response
