import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from psycopg2 import sql

from clinical.accounts import row_security


class Command(BaseCommand):
    help = (
        "Row-level security of PostgreSQL. `on` (as the owner of the tables, after every migration) binds the portal's "
        "role to the hospitals of its scope; `off` takes it back; `status` fails where something is not guarded."
    )

    def add_arguments(self, parser):
        parser.add_argument("state", choices=["on", "off", "status"])
        parser.add_argument("--role", default="boneage_web", help="The portal's role (default: %(default)s).")

    def handle(self, *, state, role, **options):
        if connection.vendor != "postgresql":
            raise CommandError("Row-level security needs PostgreSQL; set DATABASE_URL to such a database.")
        if state == "status":
            return self._status()
        if state == "off":
            row_security.turn_off()
        else:
            self._prepare(role)
            row_security.turn_on(role)
        self.stdout.write(f"Row-level security is {state}.")

    def _prepare(self, role):
        """Make the role if there is none, with the password of POSTGRES_WEB_PASSWORD; refuse one that is not bound."""
        password = os.environ.get("POSTGRES_WEB_PASSWORD")
        with connection.cursor() as cursor:
            find = "SELECT rolsuper OR rolbypassrls OR pg_has_role(rolname, current_user, 'MEMBER') FROM pg_roles"
            cursor.execute(f"{find} WHERE rolname = %s", [role])
            found = cursor.fetchone()
            if found and found[0]:
                raise CommandError(f"The role {role} is above row-level security: name one that owns nothing.")
            if not found and not password:
                raise CommandError(f"There is no role {role}. Make it, or set POSTGRES_WEB_PASSWORD to have it made.")
            name = sql.Identifier(role)
            if not found:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            if password:
                cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))

    def _status(self):
        unguarded = row_security.unguarded()
        for table in unguarded:
            self.stderr.write(f"Not guarded: {table}")
        if unguarded:
            raise CommandError("Turn row-level security on as the owner of the tables: row_security on")
        if settings.ROW_SECURITY and not row_security.binds_this_connection():
            raise CommandError("The policies do not bind this role: it owns the tables or is above them.")
        bound = "binds this role" if row_security.binds_this_connection() else "does not bind this role, the owner"
        self.stdout.write(f"Every table is guarded. Row-level security {bound}.")
