from django.apps import AppConfig


class DicomConfig(AppConfig):
    name = "clinical.dicom"
    verbose_name = "DICOM"

    def ready(self):
        from clinical.dicom import arrivals  # noqa: F401  (listens to erasures)
