import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boneage_portal.settings")

app = Celery("boneage_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
