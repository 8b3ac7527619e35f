"""What a pack consists of, as immutable values. ``schema`` reads them from YAML, ``compile`` makes them ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from governance.policies.results import Severity
from governance.policies.written import Text

Param = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the text of the law was read."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Applies:
    """Where a pack applies, by environment. An empty part names no limit."""

    tiers: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    perimeters: tuple[str, ...] = ()

    def to(self, environment: Mapping[str, str]) -> bool:
        """Whether ``environment`` (its JSON form) is meant. One whose perimeter nobody knows may be any, so it is."""
        return (
            (not self.tiers or environment["tier"] in self.tiers)
            and (not self.environments or environment["slug"] in self.environments)
            and (not self.perimeters or environment["perimeter"] in (*self.perimeters, "unknown"))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One gate. ``scope`` is ``flow`` or ``version``; ``concern`` is ``residency``, ``hygiene`` or empty.

    ``enabled`` False: the rule is to be read, never evaluated. ``unverified`` says what nobody has checked in its
    source yet, or is empty. ``line`` and ``column`` are where it begins.
    """

    id: str
    title: str
    cites: tuple[str, ...]
    severity: Severity
    concern: str
    scope: str
    when: Text | None
    require: tuple[tuple[str, Text], ...]
    unless: tuple[tuple[str, Text], ...]
    message: str
    remedy: str
    who: tuple[str, ...]
    where: str
    enabled: bool
    unverified: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Slot:
    """``n`` different people in ``role``; only when ``when`` holds, if it is given."""

    role: str
    n: int
    when: Text | None


@dataclass(frozen=True, slots=True)
class SignOffRule:
    """Who must sign. ``exclude`` always holds ``requester``. Signatures lapse after ``valid_for``."""

    id: str
    title: str
    applies_when: Text
    require: tuple[Slot, ...]
    #: 0 asks for no more people than there are slots that apply.
    min_people: int
    exclude: tuple[str, ...]
    reauth_max_age: timedelta
    valid_for: timedelta


@dataclass(frozen=True, slots=True)
class Pack:
    """A whole pack. ``digest`` is ``sha256:`` of the UTF-8 text: a changed comma is another pack.

    ``enabled`` False: a draft to read; it cannot be activated. ``unverified`` says what nobody has checked yet.
    """

    id: str
    version: int
    digest: str
    title: str
    jurisdictions: tuple[str, ...]
    status: str
    effective_from: date
    verified_on: date | None
    verified_by: str
    sources: tuple[Source, ...]
    params: tuple[tuple[str, Param], ...]
    rules: tuple[Rule, ...]
    signoffs: tuple[SignOffRule, ...]
    applies: Applies
    enabled: bool
    unverified: str
