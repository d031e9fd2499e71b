"""Row-level security of PostgreSQL: a second wall, for the day on which a filter is forgotten in SQL.

The owner of the tables migrates and makes the policies below; the portal signs in as another role, which they bind.
`clinical.accounts.postgresql` tells the database the scope, and the role sees and writes the rows of its hospitals
alone: outside of a scope none. The policies are made from the models, so that a new table is covered or is named.
"""

from contextlib import contextmanager

from django.apps import apps
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import ForeignKey
from psycopg2 import sql

from clinical.accounts.models import Hospital, User

EVERY = "(SELECT current_setting('portal.hospital', true)) = 'all'"
HOSPITALS = "(SELECT string_to_array(nullif(current_setting('portal.hospital', true), 'all'), ','))::bigint[]"
PERSON = "(SELECT nullif(current_setting('portal.user', true), ''))::bigint"

# Rows that are a person's own, whichever hospital wrote them.
PERSONAL = {"notices.Notification", "admin.LogEntry"}

# Tables, or all of an app, that belong to no hospital.
SHARED = {
    "auth": "groups and permissions of the administration",
    "contenttypes": "names of models",
    "sessions": "keys of sessions, needed before anybody is known",
    "account": "addresses to sign in with, needed before anybody is known",
    "mfa": "second factors, needed before anybody has signed in",
    "socialaccount": "who somebody is at the identity provider, needed before they have signed in",
    "usersessions": "where somebody is signed in",
    "accounts.AccessToken": "hashes of tokens, needed before anybody is known",
    "accounts.User": "one person may belong to several hospitals",
    "accounts.User_groups": "roles in the administration",
    "accounts.User_user_permissions": "roles in the administration",
    "inference.ModelVersion": "the models serve all hospitals",
    "audit.Chain": "numbers and hashes of access events",
    "notices.MailPreference": "how often somebody wants mail",
}


class Uncovered(Exception):
    """A table of which nothing says whose its rows are: give it a hospital, or a line in SHARED."""


def tables():
    """All models with a table of their own."""
    models = apps.get_models(include_auto_created=True)
    return [model for model in models if model._meta.managed and not model._meta.proxy]


def policies(model):
    """The policies of a model's table: {name: (statement, rows it may read or change, rows it may write)}.

    Empty where the rows belong to no hospital. Raises Uncovered.
    """
    keys = {field.name: field for field in model._meta.local_fields if isinstance(field, ForeignKey)}
    own = f"{_column(keys['user'])} = {PERSON}" if "user" in keys else None
    if model is Hospital:
        return {"portal_names": ("SELECT", "true", None), "portal_scope": _all(_of_scope('"id"'))}
    if "hospital" in keys or model._meta.label in PERSONAL:
        scope = {"portal_scope": _all(_of_scope(_column(keys["hospital"])) if "hospital" in keys else EVERY)}
        if model._meta.label in PERSONAL:
            return scope | {"portal_own": _all(own)}
        # Which hospitals somebody may enter is read from their own rows, before there is a scope.
        return scope | {"portal_own": ("SELECT", own, None)} if own else scope
    if model._meta.label in SHARED or model._meta.app_label in SHARED:
        return {}
    for field in keys.values():
        parent = field.related_model
        if parent is not model and not field.null and parent not in (Hospital, User) and policies(parent):
            whole = f"SELECT FROM {_quote(parent._meta.db_table)} whole WHERE whole.{_column(field.target_field)}"
            return {"portal_scope": _all(f"EXISTS ({whole} = {_quote(model._meta.db_table)}.{_column(field)})")}
    raise Uncovered(f"{model._meta.label} has no hospital and is not among the shared tables of {__name__}.")


def _all(rows):
    return "ALL", rows, rows


def _of_scope(column):
    return f"({EVERY} OR {column} = ANY ({HOSPITALS}))"


def _column(field):
    return _quote(field.column)


def _quote(name):
    return connection.ops.quote_name(name)


def turn_on(role):
    """Make every policy anew for `role`, and give it these tables to write, and no others."""
    with connection.cursor() as cursor:
        name = sql.Identifier(role).as_string(cursor.cursor)
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        # Commands that run as the portal, such as `createsuperuser`, ask first whether a migration is due.
        cursor.execute(f"GRANT SELECT ON {_quote(MigrationRecorder.Migration._meta.db_table)} TO {name}")
        for model in tables():
            with _alone_with(cursor, model) as table:
                cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}")
                _drop_policies(cursor, model)
                for policy, (statement, using, check) in policies(model).items():
                    rows = f"USING ({using}) WITH CHECK ({check})" if check else f"USING ({using})"
                    cursor.execute(f"CREATE POLICY {policy} ON {table} FOR {statement} TO {name} {rows}")
                    cursor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def turn_off():
    with connection.cursor() as cursor:
        for model in tables():
            with _alone_with(cursor, model) as table:
                cursor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
                _drop_policies(cursor, model)


@contextmanager
def _alone_with(cursor, model):
    """A transaction for one table, locked before it is touched: so neither the portal nor autovacuum, which may be at
    work on it, waits for this one while this one waits for them."""
    table = _quote(model._meta.db_table)
    with transaction.atomic():
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield table


def _drop_policies(cursor, model):
    cursor.execute(
        "SELECT policyname FROM pg_policies WHERE schemaname = 'public' AND tablename = %s AND policyname ~ '^portal_'",
        [model._meta.db_table],
    )
    for (policy,) in cursor.fetchall():
        cursor.execute(f"DROP POLICY {policy} ON {_quote(model._meta.db_table)}")


def unguarded():
    """The tables that should have policies and lack them, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, policyname FROM pg_policies JOIN pg_tables USING (schemaname, tablename)"
            " WHERE schemaname = 'public' AND rowsecurity"
        )
        there = set(cursor.fetchall())
    return sorted(
        model._meta.db_table
        for model in tables()
        if any((model._meta.db_table, policy) not in there for policy in policies(model))
    )


def binds_this_connection():
    """Whether the policies bind the role that the portal signs in as: not the tables' owner, nor a superuser."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_security_active(%s)", [f"public.{Hospital._meta.db_table}"])
        return cursor.fetchone()[0]
