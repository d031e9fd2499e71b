from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self):
        from inference import worker  # noqa: F401  (connects the worker's own checks)
