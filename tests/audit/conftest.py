"""Fixtures of the log's tests: a signer whose state the test can reach, and a sequencer over it."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from audit.merkle.checkpoint import Vkey
from audit.publisher import Publisher
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.witnesses import known
from config.stack import database
from tests.audit import outside, sealed
from tests.audit.story import ORIGIN
from tests.conftest import CommittedDatabase, Server, use_database

_copies = itertools.count(1)


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    """A signer in this process."""
    made = Signer(tmp_path / "signer-state", ORIGIN)
    yield made
    made.close()


@pytest.fixture
def sequencer(committed_db: CommittedDatabase, signer: Signer) -> Iterator[Sequencer]:
    """The sequencer of the test's database."""
    made = Sequencer(committed_db.url(database.SEQUENCER), signer)
    yield made
    made.close()


@pytest.fixture
def sequence(sequencer: Sequencer) -> Callable[[], None]:
    """Runs the sequencer and the signer once."""

    def run() -> None:
        sequencer.run_once()

    return run


@pytest.fixture(scope="session")
def installed_witness(request: pytest.FixtureRequest) -> Path:
    """The folder with a C2SP witness that is not ours."""
    cache = Path(request.config.cache.mkdir("outside"))  # type: ignore[union-attr]
    return outside.install_witness(cache)


@pytest.fixture
def witness(installed_witness: Path, tmp_path: Path, signer: Signer) -> Iterator[outside.RealWitness]:
    """A real witness process that trusts the log of ``signer``."""
    made = outside.RealWitness(installed_witness, tmp_path / "witness")
    made.trust(signer.origin, signer.vkeys[0])
    made.start()
    yield made
    made.stop()


@pytest.fixture
def publisher(committed_db: CommittedDatabase) -> Iterator[Publisher]:
    """The publisher of the test's database; the settings decide what it does."""
    made = Publisher(committed_db.url(database.SEQUENCER))
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> outside.Authority:
    """A timestamp authority whose answers hold its own certificate only."""
    return outside.Authority(tmp_path_factory.mktemp("authority") / "plain")


@pytest.fixture
def follow(settings: Any, tmp_path: Path) -> Callable[..., None]:
    """``follow({"name": (vkey, url)}, quorum=1)``: make this the witness policy."""

    def made(witnesses: Mapping[str, tuple[Vkey, str]], quorum: int | str = "all") -> None:
        path = tmp_path / "policy.txt"
        path.write_text(outside.policy_text(witnesses, quorum))
        settings.WITNESS_POLICY = str(path)
        known.forget()

    return made


@pytest.fixture(scope="session")
def sealed_template(
    postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[tuple[str, Path]]:
    """A database with a signed log of 600 entries, more than two full tiles, and the state of its signer."""
    name, state = f"sealed_{os.getpid()}", tmp_path_factory.mktemp("sealed") / "signer"
    postgres_server.create(name, template_database)
    own = CommittedDatabase(postgres_server, name)
    before = dict(connections["default"].settings_dict)
    with django_db_blocker.unblock():
        use_database(own.url(), own.url(database.ERASER))
        made = Signer(state, ORIGIN)
        writer = Sequencer(own.url(database.SEQUENCER), made)
        for count in sealed.BATCHES:
            sealed.append(count)
            writer.run_once()
        writer.close()
        made.close()
        connections["default"].close()
        connections["default"].settings_dict.update(before)
    yield name, state
    postgres_server.drop(name)


@pytest.fixture
def sealed_log(
    postgres_server: Server,
    sealed_template: tuple[str, Path],
    shared_database: str,
    tmp_path: Path,
    django_db_blocker: Any,
) -> Iterator[sealed.SealedLog]:
    """A copy of that log to attack, with a signer that remembers it."""
    name = f"attacked_{os.getpid()}_{next(_copies)}"
    postgres_server.create(name, sealed_template[0])
    shutil.copytree(sealed_template[1], tmp_path / "sealed-signer")
    (tmp_path / "sealed-signer").chmod(0o700)
    own, remembering = CommittedDatabase(postgres_server, name), Signer(tmp_path / "sealed-signer", ORIGIN)
    with django_db_blocker.unblock():
        use_database(own.url(), own.url(database.ERASER))
        yield sealed.SealedLog(own, remembering)
        use_database(postgres_server.url(database.APP, shared_database))
    remembering.close()
    postgres_server.drop(name)
