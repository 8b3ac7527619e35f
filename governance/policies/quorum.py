"""Sign-offs: a pure function of rules, events, people, clock and subject. Nobody stores ``approved`` anywhere.

Approved means: for every rule that applies there are as many different, independent people as the rule has slots, each
of whom signed exactly this subject, recently enough, after proving who they are, in a role that they still hold, and
nobody who may has refused. An approval by a person who trained the version or requested the promotion is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from governance.policies.compile import CompiledPack
from governance.policies.facts import Facts

EventKind = Literal["approved", "rejected", "revoked", "reopened"]
State = Literal["approved", "awaiting_signoff", "rejected", "not_required", "error"]


@dataclass(frozen=True, slots=True)
class SignOffEvent:
    """One signature or its withdrawal. ``undoes`` is the id of the event that is revoked or reopened."""

    id: str
    kind: EventKind
    by: str
    role: str
    subject_digest: str
    at: datetime
    reauth_at: datetime | None = None
    undoes: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """Who is who now: ``roles`` holds active people only; whoever is missing holds no role."""

    roles: Mapping[str, frozenset[str]]
    requester: str
    contributors: frozenset[str]
    policy_owners: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Missing:
    """``n`` more people in ``role`` must sign for ``rule``."""

    rule: str
    role: str
    n: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot that is taken. ``expires_at`` is when this signature stops counting."""

    rule: str
    role: str
    by: str
    event: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ignored:
    """An approval that does not count, and why (a code of ``REASONS``)."""

    rule: str
    event: str
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Objection:
    """Why somebody may not sign: ``code`` is stable (``signoff.requester``), ``sentence`` is for people."""

    code: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SignOffState:
    """Derived at each look. ``missing`` is data for the gate's answer; ``vetoes`` are ids of rejections that stand."""

    state: State
    missing: tuple[Missing, ...] = ()
    filled: tuple[Filled, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    vetoes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    valid_until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """``{"state", "missing": [{"rule", "role", "n"}], "filled", "ignored", "vetoes", "problems", "valid_until"}``."""
        raise NotImplementedError


def signoff_state(
    packs: Sequence[CompiledPack], facts: Facts, events: Sequence[SignOffEvent], people: People, subject_digest: str
) -> SignOffState:
    """What the signatures amount to at ``facts.now``."""
    raise NotImplementedError


def objections(
    packs: Sequence[CompiledPack],
    facts: Facts,
    events: Sequence[SignOffEvent],
    people: People,
    subject_digest: str,
    *,
    by: str,
    role: str,
) -> tuple[Objection, ...]:
    """Why ``by`` may not sign in ``role`` now; empty when they may. ``role`` empty asks for any role they hold."""
    raise NotImplementedError
