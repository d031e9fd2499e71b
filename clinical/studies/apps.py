from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "clinical.studies"
    label = "studies"

    def ready(self):
        from clinical.studies import following, notices  # noqa: F401  (they listen to the analyses, in this order)
