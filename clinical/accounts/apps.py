from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "clinical.accounts"
    label = "accounts"
    verbose_name = "Hospitals and people"

    def ready(self):
        from clinical.accounts import checks, sessions  # noqa: F401  connects receivers and checks
