from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class AuditConfig(AppConfig):
    name = "clinical.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self):
        from clinical.audit import changes, immutable, sign_ins  # noqa: F401  connect their receivers

        pre_migrate.connect(immutable.let_migrate, sender=self)
        post_migrate.connect(immutable.protect, sender=self)
