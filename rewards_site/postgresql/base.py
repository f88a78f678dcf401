"""Django's PostgreSQL backend, plus ``LOCALDB``: the private database, started when first needed.

``DATABASES["default"]["LOCALDB"] = {"folder": ..., "durable": ...}``; see rewards_site.localdb.
"""

from pathlib import Path
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import OperationalError

from rewards_site.localdb import ConnectionParameters, LocalDatabase, LocalDatabaseError

# Found once per process: asking the server on every connection would double its cost.
_running: dict[LocalDatabase, ConnectionParameters] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | self._server()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; when that fails, the server may have died: see to it and try once more."""
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            if "LOCALDB" not in self.settings_dict:
                raise
            return super().get_new_connection(conn_params | self._server(is_known=False))

    def _server(self, *, is_known: bool = True) -> dict[str, Any]:
        """Where the server is; the database's name stays Django's, which also makes test ones."""
        options = self.settings_dict.get("LOCALDB")
        if options is None:
            return {}
        database = LocalDatabase(Path(options["folder"]), durable=options.get("durable", True))
        if not is_known or database not in _running:
            try:
                _running[database] = database.ensure_running()
            except LocalDatabaseError as error:
                raise OperationalError(str(error)) from error
        return {key: value for key, value in _running[database].items() if key != "dbname"}
