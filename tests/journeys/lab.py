"""The bank of ``tests.governance.scene`` on a server of its own, asked by command line, API and Chromium.

For journeys that the demo's shared story would not survive: a pack in force takes the signatures of every open
promotion, and the clock may have to pass an end. Server, database, Chromium and command line are the real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
from playwright.sync_api import Browser

from tests import personas
from tests.browser.conftest import sign_in
from tests.cli.gate import run
from tests.governance.scene import Bank


@dataclass(frozen=True)
class Lab:
    """The running product and a browser before it."""

    url: str
    browser: Browser
    folder: Path
    bank: Bank

    def cli(self, username: str, *words: str) -> CompletedProcess[str]:
        """The command line with that person's own token."""
        return run(*words, COUNTERSIGN_URL=self.url, COUNTERSIGN_TOKEN=personas.token_of(username))

    def check(self, environment: str = "staging") -> tuple[int, dict[str, Any], str]:
        """The gate's exit code, its answer and its table for credit-scoring/14 there."""
        words = ("check", "--model", "credit-scoring", "--version", "14", "--environment", environment)
        told = self.cli("ci", *words)
        done = self.cli("ci", *words, "--output", "json")
        assert done.returncode == told.returncode, done.stderr
        return done.returncode, json.loads(done.stdout), told.stdout

    def api(self, username: str) -> httpx.Client:
        """A program with that person's token."""
        headers = {"Authorization": f"Bearer {personas.token_of(username)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=60)

    def at(self, username: str, path: str) -> Any:
        """A tab of that person on a page."""
        tab = self.browser.new_context().new_page()
        sign_in(tab, self.url, username)
        tab.goto(self.url + path)
        return tab
