"""Fixtures of the journeys that need a server of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import chromium, serving_pages
from tests.governance import scene
from tests.journeys.lab import Lab


@pytest.fixture
def lab(committed_db: object, tmp_path: Path) -> Iterator[Lab]:
    """The bank, served."""
    with chromium() as browser:
        bank = scene.build()
        with serving_pages() as url:
            yield Lab(url, browser, tmp_path, bank)
