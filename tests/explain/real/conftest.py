"""The model file that every server reads, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import xgboost

from tests.explain.real import adult
from tests.explain.real.agreement import Oracle, oracle
from tests.explain.real.running import Running

#: Starts a server of ``running`` on the model: ``serve(running.kserve)``.
Serve = Callable[[Callable[[Path, Path], AbstractContextManager[Running]]], AbstractContextManager[Running]]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adult") / "model.json"
    adult.train(path)
    return path


@pytest.fixture(scope="session")
def true(model_file: Path) -> Oracle:
    """Read from the file that the servers read as well."""
    model = xgboost.XGBClassifier(n_jobs=1)
    model.load_model(model_file)
    return oracle(model)


@pytest.fixture(scope="module")
def serve(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    def start(
        server: Callable[[Path, Path], AbstractContextManager[Running]],
    ) -> AbstractContextManager[Running]:
        return server(model_file, tmp_path_factory.mktemp(server.__name__))

    return start


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Words that are printed at the end of the run, though the test passes."""
    return lambda words: request.node.user_properties.append(("said at the end", words))
