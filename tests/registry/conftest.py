"""Fixtures of the registry's tests."""

from __future__ import annotations

import pytest

from tests.registry import catalogue as catalogues
from tests.registry.catalogue import Catalogue


@pytest.fixture
def catalogue(db: None) -> Catalogue:
    """One model with two versions, the first of which serves."""
    return catalogues.build()
