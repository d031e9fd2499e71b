import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boneage_portal.settings")

TRANSPORT_ALIASES["filesystem"] = "boneage_portal.broker:Transport"

app = Celery("boneage_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
