import time

from django.core.management import CommandError

from boneage_portal import demo
from boneage_portal.management.commands import portal

PATIENCE_SECONDS = 600


class Command(portal.Command):
    help = "Run the embedded portal with demo hospitals, people and studies; what is there already stays."

    def handle(self, *args, **options):
        demo.relax()
        super().handle(*args, **options)

    def ready(self, supervisor):
        demo.create_people()
        for done, total in demo.submit_studies():
            self._progress(f"Demo radiographs: {done} of {total} drawn and submitted")
        self.stdout.write("")
        self._wait("Demo studies: {} to be analysed", demo.pending)
        demo.read_studies()
        self._wait("Demo reports: {} to be made", demo.release_studies)
        self.stdout.write("\nWho can sign in, all with the password " + self.style.SUCCESS(demo.password()))
        for email, name, roles in demo.PEOPLE:
            where = ", ".join(f"{role.label.lower()} at {hospital}" for hospital, role in roles.items())
            kind = where or ("mother of Jonas and Mila" if email.startswith("family") else "administration at /admin/")
            self.stdout.write(f"  {email:<32}{name} ({kind})")
        self.stdout.write("")
        super().ready(supervisor)

    def _wait(self, text, count):
        """Until `count()` is 0, which the worker brings about."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := count():
            if time.monotonic() > deadline:
                raise CommandError("The worker does not get on; see its messages above.")
            self._progress(f"{text.format(left)}   ")
            time.sleep(0.5)
        self._progress(f"{text.format(0)}   \n")

    def _progress(self, text):
        self.stdout.write(f"\r{text}", ending="")
        self.stdout.flush()
