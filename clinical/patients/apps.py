from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "clinical.patients"
    label = "patients"

    def ready(self):
        from clinical.patients import sqlite_search  # noqa: F401  connects a receiver
