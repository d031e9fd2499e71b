from django.apps import AppConfig


class ChartsConfig(AppConfig):
    name = "clinical.charts"
    label = "charts"
