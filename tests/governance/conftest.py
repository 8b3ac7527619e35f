"""The bank of ``scene`` for every test of governance."""

from __future__ import annotations

import pytest

from tests.governance import scene


@pytest.fixture
def bank(db: None) -> scene.Bank:
    """Models, data, environments, people and packs, in a transaction that is rolled back."""
    return scene.build()
