"""Handing out a report as DICOM. It is made for the request: nothing is kept, for nothing in it changes."""

from django.http import Http404

from clinical.audit.downloads import deliver_made
from reports.dicom_header import encoded, source
from reports.encapsulated_pdf import encapsulated_pdf


def deliver_structured_report(request, report):
    """Raises Http404 when the storage does not hold the radiograph any more."""
    # Imported on first use: highdicom takes a second and 150 MB, which no process needs that makes no such report.
    from reports.structured_report import structured_report

    return _deliver(request, report, structured_report, "structured-report")


def deliver_encapsulated_pdf(request, report):
    """Raises Http404 when the storage does not hold the PDF, or the radiograph, any more."""
    return _deliver(request, report, encapsulated_pdf, "encapsulated-pdf")


def _deliver(request, report, make, kind):
    try:
        content = encoded(make(report, source(report.study.radiograph)))
    except FileNotFoundError:
        raise Http404("This file is not in the storage.") from None
    filename = f"{report.number}-v{report.version}-{kind}.dcm"
    return deliver_made(
        request, report, content, content_type="application/dicom", filename=filename, as_attachment=True
    )
