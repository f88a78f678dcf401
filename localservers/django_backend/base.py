"""Django's PostgreSQL backend with a private server, started at the first connection.

``DATABASES["default"]["LOCALDB"]`` holds the arguments of LocalDatabase. Without it, this is
Django's own backend.
"""

from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import OperationalError

from localservers.postgresql.database import (
    ConnectionParameters,
    LocalDatabase,
    LocalDatabaseError,
)

# Looked up once per process: one more query per connection would double its cost.
_servers: dict[LocalDatabase, ConnectionParameters] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | self._server()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect. If that fails, the server may have crashed: restart it and try once more."""
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            if "LOCALDB" not in self.settings_dict:
                raise
            return super().get_new_connection(conn_params | self._server(use_cache=False))

    def _server(self, *, use_cache: bool = True) -> dict[str, Any]:
        """Return the server's address and password; Django keeps control of the database's name."""
        options = self.settings_dict.get("LOCALDB")
        if options is None:
            return {}
        database = LocalDatabase(**options)
        if not use_cache or database not in _servers:
            try:
                _servers[database] = database.ensure_running()
            except LocalDatabaseError as error:
                raise OperationalError(str(error)) from error
        return {key: value for key, value in _servers[database].items() if key != "dbname"}
