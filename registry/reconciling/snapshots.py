"""The two sides that are compared, as frozen facts: what is on record here, and what was seen outside.

Versions are written as subjects (``version:credit-scoring/3``), environments as their slug; empty means that there is
none. Nothing here knows a database, a network or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How asking a served model went. Only ``TOLD`` says anything about what it serves."""

    TOLD = "told"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Served:
    """One open deployment."""

    environment: str
    model: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class RecordedEndpoint:
    """A registered endpoint and the version that it was registered with."""

    name: str
    environment: str
    model: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Untold:
    """An alias that was moved here, and where MLflow may still have it because it was not told (empty: nowhere).

    ``waits``: it is about to be told. Otherwise it refused, or is not told any more, and somebody has to see to it.
    """

    versions: tuple[str, ...] = ()
    waits: bool = False


@dataclass(frozen=True, slots=True)
class RecordedAlias:
    """Where the ledger has an alias; while it was moved outside, that is not where it points."""

    model: str
    name: str
    version: str
    untold: Untold = Untold()


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """A registered version; ``server`` is the address of its tracking server, empty when it came from none."""

    model: str
    number: int
    digest: str
    server: str
    source: str
    run_id: str

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class Approval:
    """Something that was allowed and to which no deployment belongs. ``what`` is ``promotion``, ``permit`` or
    ``permit_used``."""

    subject: str
    what: str
    version: str
    environment: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Deliveries of MLflow against changes that an import found there.

    The newest import that found anything began after ``change_since`` (the one before had looked then) and ended at
    ``change_found``; both None while none found anything.
    """

    set_up: bool = False
    last_delivery: datetime | None = None
    change_since: datetime | None = None
    change_found: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on record here at one moment."""

    serving: tuple[Served, ...] = ()
    endpoints: tuple[RecordedEndpoint, ...] = ()
    aliases: tuple[RecordedAlias, ...] = ()
    versions: tuple[RecordedVersion, ...] = ()
    approvals: tuple[Approval, ...] = ()
    webhooks: Webhooks = Webhooks()


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version as MLflow describes it."""

    source: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """A tracking server. ``problem`` says why it could not be read; then nothing else here means anything.

    ``aliases``: (model, alias) -> number; ``versions``: (model, number) -> what it is; ``models``: every name.
    """

    address: str
    name: str = "mlflow"
    problem: str = ""
    models: frozenset[str] = frozenset()
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    versions: Mapping[tuple[str, int], SourceVersion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a served model said about itself. ``why`` is a word of ``registry.reconciling.identity``."""

    endpoint: str
    outcome: Outcome
    name: str = ""
    versions: tuple[str, ...] = ()
    digest: str = ""
    why: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen outside, begun at ``at``. ``sources`` are the tracking servers that are set up."""

    at: datetime
    sources: tuple[Source, ...] = ()
    answers: tuple[Answer, ...] = ()
