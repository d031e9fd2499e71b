from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "clinical.patients"
    label = "patients"
