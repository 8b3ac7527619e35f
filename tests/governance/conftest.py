"""The bank of ``scene`` for every test of governance."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.governance import scene


@pytest.fixture
def bank(bank_template: tuple[str, Any], db: None) -> scene.Bank:
    """Models, data, environments, people and packs; what a test adds is in a transaction that is rolled back."""
    bank: scene.Bank = copy.deepcopy(bank_template[1])
    return bank
