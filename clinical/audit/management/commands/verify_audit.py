from django.core.management.base import BaseCommand, CommandError
from django_scopes import scopes_disabled

from clinical.accounts.models import Hospital
from clinical.audit import chain
from clinical.audit.models import PLATFORM


class Command(BaseCommand):
    help = "Check the chains of access events: that nothing was changed, removed, moved or put in. Exits 1 if so."

    def add_arguments(self, parser):
        parser.add_argument(
            "--anchor",
            action="append",
            default=[],
            metavar="HOSPITAL:NUMBER:SHA256",
            help="An event as an earlier run or the log names it, kept elsewhere; 0 is the platform. May be repeated.",
        )

    def handle(self, *args, anchor, **options):
        anchors = {}
        for text in anchor:
            try:
                key, number, sha256 = text.split(":")
                anchors.setdefault(int(key), []).append((int(number), sha256))
            except ValueError:
                raise CommandError(f"An anchor is written HOSPITAL:NUMBER:SHA256, not {text!r}.") from None
        broken = 0
        with scopes_disabled():
            names = dict(Hospital.objects.values_list("pk", "name")) | {PLATFORM: "the platform"}
            for key in sorted({*chain.hospital_keys(), *anchors}):
                name = f"{key} ({names.get(key, 'a hospital that was removed')})"
                try:
                    checked = chain.verify(key, anchors.get(key, ()))
                except chain.BrokenChain as error:
                    broken += 1
                    self.stderr.write(f"Chain {name} is broken. {error}")
                else:
                    end = f", {key}:{checked.number}:{checked.sha256}" if checked.number else ""
                    self.stdout.write(
                        f"Chain {name} holds: {checked.events} events, {checked.waiting} not sealed yet{end}"
                    )
        if broken:
            raise CommandError(f"{broken} of the chains are broken.", returncode=1)
