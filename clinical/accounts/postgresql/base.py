"""Django's PostgreSQL backend, which tells the database the scope before a statement: see `accounts.row_security`."""

from django.conf import settings
from django.db.backends.postgresql import base
from django_scopes import get_scope


class DatabaseWrapper(base.DatabaseWrapper):
    told = None  # the scope as this connection's session knows it; None: unknown

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if settings.ROW_SECURITY:
            self.execute_wrappers.append(self.tell_scope)

    def tell_scope(self, execute, sql, params, many, context):
        """Wraps every statement, so that no connection carries the scope of one request into the next."""
        if str(sql).startswith("ROLLBACK TO"):  # takes back what was told since the savepoint
            self.told = None
        elif (scope := told_scope()) != self.told and not self.needs_rollback:
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('portal.hospital', %s, false), set_config('portal.user', %s, false)", scope
                )
            self.told = scope
        return execute(sql, params, many, context)

    def get_new_connection(self, conn_params):
        self.told = None
        return super().get_new_connection(conn_params)

    def _rollback(self):
        self.told = None
        return super()._rollback()


def told_scope():
    """The scope of django-scopes in words of the policies: ("", "1,2" or "all"; "" or the key of the user)."""
    scope = get_scope()
    if not scope.get("_enabled", True):
        hospitals = "all"
    else:
        chosen = scope.get("hospital") or []
        chosen = chosen if isinstance(chosen, (list, tuple)) else [chosen]
        hospitals = ",".join(str(getattr(hospital, "pk", hospital)) for hospital in chosen)
    user = scope["user"]() if "user" in scope else None
    return hospitals, str(user or "")
