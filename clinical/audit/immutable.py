"""What the database itself refuses of access events: any change but the one that seals them, any removal but that of
old ones, which the chain has let go of. For the day on which somebody has SQL and no respect.
"""

from django.db import connections

from clinical.audit.models import CONTENT, PLATFORM, AccessEvent, Chain

EVENTS, CHAINS = AccessEvent._meta.db_table, Chain._meta.db_table
CHANGED, REMOVED = "audit_event_changed", "audit_event_removed"
SENTENCE = "Access events are written once; they are neither changed nor removed."


def _changes(differs):
    content = " OR ".join(f'OLD."{column}" {differs} NEW."{column}"' for column in ["id", *CONTENT])
    return f"OLD.sequence IS NOT NULL OR {content}"


KEPT = (
    "OLD.sequence IS NULL OR OLD.sequence > "
    f"COALESCE((SELECT removed FROM {CHAINS} WHERE hospital_key = COALESCE(OLD.hospital_id, {PLATFORM})), 0)"
)
SQLITE = [
    f"CREATE TRIGGER {name} BEFORE {verb} ON {EVENTS} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
    for name, verb, condition in ((CHANGED, "UPDATE", _changes("IS NOT")), (REMOVED, "DELETE", KEPT))
]
POSTGRESQL = [
    statement
    for name, verb, condition, row in (
        (CHANGED, "UPDATE", _changes("IS DISTINCT FROM"), "NEW"),
        (REMOVED, "DELETE", KEPT, "OLD"),
    )
    for statement in (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION '{SENTENCE}'; END IF; RETURN {row}; END $$",
        f"CREATE TRIGGER {name} BEFORE {verb} ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )
]


def dropped(vendor):
    """The statements that take the triggers away, for migrations."""
    on = f" ON {EVENTS}" if vendor == "postgresql" else ""
    return [f"DROP TRIGGER IF EXISTS {name}{on}" for name in (CHANGED, REMOVED)]


def let_migrate(sender, using, **kwargs):
    """Before migrations: some copy or fill whole tables."""
    connection = connections[using]
    if EVENTS in connection.introspection.table_names():
        _execute(connection, dropped(connection.vendor))


def protect(sender, using, **kwargs):
    """After migrations, SQLite among them, which loses triggers whenever it copies a table."""
    connection = connections[using]
    create = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[connection.vendor]
    tables = connection.introspection.table_names()
    if EVENTS in tables and CHAINS in tables:
        _execute(connection, [*dropped(connection.vendor), *create])


def _execute(connection, statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
