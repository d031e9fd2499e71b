from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "clinical.accounts"
    label = "accounts"
    verbose_name = "Hospitals and people"
