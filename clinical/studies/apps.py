from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "clinical.studies"
    label = "studies"

    def ready(self):
        from clinical.studies import workflow  # noqa: F401  (listens to the analyses)
