"""A real server over a committed database, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from playwright.sync_api import Page as Tab

from config.stack import database
from tests import personas
from tests.browser import world as worlds
from tests.browser.world import World
from tests.conftest import Server, use_database

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True)
class Site:
    """A running server with a seeded world."""

    url: str
    world: World

    def login(self, page: Tab | BrowserContext, username: str) -> None:
        """Sign ``username`` in for this tab or context."""
        sign_in(page, self.url, username)


def sign_in(page: Tab | BrowserContext, url: str, username: str) -> None:
    """By session and without the form (which has its own tests)."""
    context = page if isinstance(page, BrowserContext) else page.context
    client = Client()
    client.force_login(personas.get(username))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: failures are seen by the tests."""


#: The Chromium of this process: Playwright's loop cannot run twice in a thread, so who comes second shares it.
_started: list[Browser] = []


@contextmanager
def chromium() -> Iterator[Browser]:
    """A started Chromium; skips the test where none is installed, but never in CI."""
    if _started:
        yield _started[0]
        return
    if CHROMIUM is None:
        sentence = "chromium is not installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(sentence)  # a skip would hide every page
        pytest.skip(sentence)
    # Playwright runs a loop in this thread; the database is used between its calls, never inside them.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        # While a loop runs Django keeps other connections than outside, and those may be to a database that is gone.
        connections.close_all()
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        _started.append(launched)
        yield launched
        _started.clear()
        launched.close()
        connections.close_all()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@contextmanager
def serving_pages() -> Iterator[str]:
    """A real server in threads of this process, on the database in use; its address."""
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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all browser tests."""
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def site(
    browser: Browser,
    postgres_server: Server,
    template_database: str,
    shared_database: str,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A server whose requests run as the runtime role on a database of the module's own, with real commits."""
    name = f"browser_{os.getpid()}_{threading.get_ident()}"
    postgres_server.create(name, template_database)
    with django_db_blocker.unblock():
        use_database(postgres_server.url(database.APP, name))
        world = worlds.whole()
        _seal(world, postgres_server.url(database.SEQUENCER, name), tmp_path_factory.mktemp("signer"))
        try:
            with serving_pages() as url:
                yield Site(url, world)
        finally:
            use_database(postgres_server.url(database.APP, shared_database))
    postgres_server.drop(name)


def _seal(world: World, address: str, directory: Path) -> None:
    """Give every entry of the seeded world its index, export it, and verify it."""
    from audit import checks
    from audit.all_logs import verify_all
    from audit.sequencer import Sequencer
    from audit.signer import Signer

    signer = Signer(directory, origin="tests.example/log")
    sequencer = Sequencer(address, signer)
    sequencer.run_once()
    worlds.export(world, signer, directory / "exports")
    sequencer.run_once()
    checks.record(verify_all(signer), source="self-check")
