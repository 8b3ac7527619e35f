"""Our server on a real socket, so that programs of others can reach it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application

from governance import accounts, tokens
from governance.models import User
from tests.personas import SET_UP

SCOPES = ("lineage.report",)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The address of the server while it runs."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_internal_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def producer(name: str = "airflow") -> User:
    """A service account that may report lineage and do nothing else."""
    return accounts.create_user(
        username=name, display_name=name.title(), kind="service", roles=(), scopes=SCOPES, password=None, by=SET_UP
    )


def token_of(account: User) -> str:
    """A token of the account with all that it may do."""
    lifetime = timedelta(hours=1)
    return tokens.issue(account, label="test", scopes=account.scopes, lifetime=lifetime, by=SET_UP).secret
