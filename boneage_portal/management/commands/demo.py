import time

from django.core.management import CommandError

from boneage_portal import demo
from boneage_portal.management.commands import portal

PATIENCE_SECONDS = 600


class Command(portal.Command):
    help = "Run the embedded portal with demo hospitals, people and studies; what is there already stays."

    def ready(self, supervisor):
        demo.create_people()
        for done, total in demo.submit_studies():
            self._progress(f"Demo radiographs: {done} of {total} drawn and submitted")
        self.stdout.write("")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := demo.pending():
            if time.monotonic() > deadline:
                raise CommandError("The worker does not get on with the demo studies; see its messages above.")
            self._progress(f"Demo studies: {left} to be analysed   ")
            time.sleep(0.5)
        self._progress("Demo studies: all analysed           \n")
        self.stdout.write("\nWho can sign in, all with the password " + self.style.SUCCESS(demo.password()))
        for email, name, roles in demo.PEOPLE:
            where = ", ".join(f"{role.label.lower()} at {hospital}" for hospital, role in roles.items())
            kind = where or ("mother of Jonas and Mila" if email.startswith("family") else "administration at /admin/")
            self.stdout.write(f"  {email:<32}{name} ({kind})")
        self.stdout.write("")
        super().ready(supervisor)

    def _progress(self, text):
        self.stdout.write(f"\r{text}", ending="")
        self.stdout.flush()
