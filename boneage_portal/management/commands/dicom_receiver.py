import threading

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from boneage_portal.supervisor import interrupt_on_terminate
from clinical.dicom import receiver


class Command(BaseCommand):
    help = "Takes films from the senders of every hospital, on DICOM_PORT of DICOM_BIND, until it is stopped."

    def handle(self, **options):
        if not settings.DICOM_PORT:
            raise CommandError("Set DICOM_PORT to the port on which films are to come, for example 11112.")
        try:
            server = receiver.start(settings.DICOM_BIND, settings.DICOM_PORT)
        except (OSError, OverflowError) as error:  # the latter of a port above 65535
            raise CommandError(f"Nothing can listen on {settings.DICOM_BIND}:{settings.DICOM_PORT}: {error}") from None
        interrupt_on_terminate()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            server.shutdown()
