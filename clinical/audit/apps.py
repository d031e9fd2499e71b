from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "clinical.audit"
    label = "audit"
    verbose_name = "Audit"
