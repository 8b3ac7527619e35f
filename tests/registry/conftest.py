"""Fixtures of the registry's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.registry import catalogue as catalogues
from tests.registry.catalogue import Catalogue
from tests.registry.tracking import Tracking, running


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A real MLflow with two versions of a model, logged by a script of its own; ``champion`` is the first.

    Starting it takes half a minute, so files share it (``tests/conftest.py`` keeps them on one process): a test begins
    with the alias put back, and takes away what it made there.
    """
    with running(tmp_path_factory.mktemp("mlflow")) as server:
        server.log_models()
        yield server


@pytest.fixture
def catalogue(db: None) -> Catalogue:
    """One model with two versions, the first of which serves."""
    return catalogues.build()
