from django.core.management import BaseCommand, CommandError, call_command

from boneage_portal.supervisor import Supervisor, interrupt_on_terminate


class Command(BaseCommand):
    help = "Run the embedded portal: the web process and a Celery worker, until Ctrl-C."

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: this machine only)")

    def handle(self, port, bind, verbosity, **options):
        interrupt_on_terminate()
        prepare()
        try:
            with Supervisor(port, bind) as supervisor:
                supervisor.wait_until_ready()
                self.ready(supervisor)
                supervisor.run()
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        except (RuntimeError, TimeoutError) as error:
            raise CommandError(error) from error

    def ready(self, supervisor):
        self.stdout.write(f"The portal is at {supervisor.address}/   (Ctrl-C stops it)")


def prepare():
    """Bring database and static files up to date."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
