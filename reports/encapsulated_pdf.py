"""The PDF of a report as a DICOM instance, which viewers show beside the film."""

from django.core.files.storage import storages
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DT

from reports.dicom_header import PRODUCT, header, signed_at, text, uid


def encapsulated_pdf(report, film):
    """The Dataset of a report that is ready, of `film`, its `source`: Encapsulated PDF Storage (PS3.3, A.45.1).

    Raises FileNotFoundError when the PDF is gone.
    """
    with storages["private"].open(report.pdf) as file:
        pdf = file.read()
    dataset = identified(report, film)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = signed_at(report)
    dataset.ContentDate, dataset.ContentTime = signed_at(report)
    dataset.AcquisitionDateTime = DT(report.acquired_on.strftime("%Y%m%d"))
    dataset.Modality, dataset.SeriesNumber = "DOC", 1002
    dataset.InstanceNumber = report.version
    dataset.Manufacturer = dataset.ManufacturerModelName = PRODUCT
    dataset.InstitutionName = text(report.hospital.name)
    dataset.ConversionType = "WSD"  # workstation
    dataset.BurnedInAnnotation = "YES"
    dataset.VerificationFlag = "VERIFIED"
    dataset.DocumentTitle = f"Bone age report {report}"
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Diagnostic Imaging Report"
    dataset.ConceptNameCodeSequence = Sequence([title])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf
    dataset.EncapsulatedDocumentLength = len(pdf)
    if film:
        dataset.SourceInstanceSequence = Sequence([_reference(film)])
    if before := report.predecessor:
        dataset.PredecessorDocumentsSequence = Sequence([_located(identified(before, film))])
    return dataset


def identified(report, film):
    """The `header` of the encapsulated PDF with its UIDs, which is what others need to refer to it."""
    dataset = header(report, film)
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = uid(report.pk, "encapsulated PDF")
    dataset.SeriesInstanceUID = uid(report.study_id, "encapsulated PDFs")
    return dataset


def _reference(instance):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return item


def _located(instance):
    """A reference to an instance by way of its study and series."""
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID = instance.SeriesInstanceUID
    series.ReferencedSOPSequence = Sequence([_reference(instance)])
    study.StudyInstanceUID = instance.StudyInstanceUID
    study.ReferencedSeriesSequence = Sequence([series])
    return study
