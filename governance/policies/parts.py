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
    source yet, or is empty. ``needs``: one piece of ``asks_for`` (evidence, or an explanation) has to satisfy all of
    these. ``waivable``: two people may
    let a failure pass for a time. ``line`` and ``column`` are where it begins.
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
    needs: tuple[tuple[str, Text], ...]
    asks_for: str
    message: str
    remedy: str
    who: tuple[str, ...]
    where: str
    waivable: bool
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
class Delegation:
    """A person may let another sign in their place, for ``longest`` at most; never one who asked for or made it."""

    longest: timedelta


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """How an emergency may go without the signatures of a rule: two people in ``roles``, for ``max_duration`` at most,
    and a review by ``review_by`` within ``review_within`` of its end.

    It excuses no rule that fails. ``cannot_override`` are rules, packs or ``residency`` that must hold by themselves:
    what a waiver excuses there ends the emergency lane too, so that two exceptions never add up.
    """

    roles: tuple[str, ...]
    max_duration: timedelta
    review_by: tuple[str, ...]
    review_within: timedelta
    cannot_override: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignOffRule:
    """Who must sign. ``exclude`` always holds ``requester``. Signatures lapse after ``valid_for``.

    ``order``: roles that sign one after the other; empty for any order. ``veto``: roles whose refusal blocks; None for
    every role that is asked, empty for none. ``delegation`` None: everybody signs in person. ``factors``: how many
    proofs of identity a signature carries.
    """

    id: str
    title: str
    applies_when: Text
    require: tuple[Slot, ...]
    #: 0 asks for no more people than there are slots that apply.
    min_people: int
    exclude: tuple[str, ...]
    reauth_max_age: timedelta
    valid_for: timedelta
    factors: int = 1
    order: tuple[str, ...] = ()
    veto: tuple[str, ...] | None = None
    delegation: Delegation | None = None
    #: None: nothing goes without these signatures.
    break_glass: BreakGlass | None = None


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
