from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "clinical.notices"
    label = "notices"
    verbose_name = "Notifications"
