"""Sign-offs: a pure function of rules, events, people, clock and subject. Nobody stores ``approved`` anywhere.

Approved means: for every rule that applies there are as many different, independent people as the rule has slots, each
of whom signed exactly this subject, recently enough, after proving who they are, in a role that they still hold, and
nobody who may has refused. An approval by a person who trained the version or requested the promotion is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from governance.policies.compile import CompiledPack, CompiledSignOff
from governance.policies.facts import Facts
from governance.policies.parts import SignOffRule
from governance.policies.vocabulary import format_time

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
    """An approval that does not count, and why (one word of ``_flaw``)."""

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
        """JSON without floats; times are RFC 3339 UTC."""
        return {
            "state": self.state,
            "missing": [{"rule": one.rule, "role": one.role, "n": one.n} for one in self.missing],
            "filled": [
                {
                    "rule": one.rule,
                    "role": one.role,
                    "by": one.by,
                    "event": one.event,
                    "expires_at": format_time(one.expires_at),
                }
                for one in self.filled
            ],
            "ignored": [{"rule": one.rule, "event": one.event, "by": one.by, "why": one.why} for one in self.ignored],
            "vetoes": list(self.vetoes),
            "problems": list(self.problems),
            "valid_until": format_time(self.valid_until) if self.valid_until else "",
        }


@dataclass(frozen=True, slots=True)
class _Applying:
    """A sign-off rule that applies, with one set of acceptable roles for each person that it asks for."""

    rule: SignOffRule
    slots: tuple[frozenset[str], ...]

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(role for slot in self.slots for role in slot)


def signoff_state(
    packs: Sequence[CompiledPack], facts: Facts, events: Sequence[SignOffEvent], people: People, subject_digest: str
) -> SignOffState:
    """What the signatures amount to at ``facts.now``. Pure, and independent of the order of ``events``.

    No sign-off rule in any active pack is an ``error``, not a yes; ``not_required`` needs a rule that was asked and
    said that it does not apply.
    """
    applying, problems = _applying(packs, facts)
    if problems:
        return SignOffState("error", problems=problems)
    if not applying:
        return SignOffState("not_required")
    people = _with_trainers(people, facts)
    ordered = sorted(events, key=lambda event: (event.at, event.id))
    vetoes = tuple(event.id for event in ordered if _vetoes(event, ordered, applying, people, subject_digest))
    missing: list[Missing] = []
    filled: list[Filled] = []
    ignored: list[Ignored] = []
    for one in applying:
        _fill(one, ordered, people, facts.now, subject_digest, missing, filled, ignored)
    state: State = "rejected" if vetoes else "awaiting_signoff" if missing else "approved"
    return SignOffState(
        state=state,
        missing=tuple(missing),
        filled=tuple(filled),
        ignored=tuple(ignored),
        vetoes=vetoes,
        valid_until=min((slot.expires_at for slot in filled), default=None) if state == "approved" else None,
    )


def roles_for(packs: Sequence[CompiledPack], facts: Facts, people: People, *, by: str) -> tuple[str, ...]:
    """The roles in which ``by`` could sign: those that an applying rule asks for and that they hold, sorted."""
    applying, _ = _applying(packs, facts)
    asked = {role for one in applying for role in one.roles}
    return tuple(sorted(asked & people.roles.get(by, frozenset())))


def objections(
    packs: Sequence[CompiledPack],
    facts: Facts,
    events: Sequence[SignOffEvent],
    people: People,
    subject_digest: str,
    *,
    by: str,
    role: str = "",
    meaning: Literal["approve", "reject"] = "approve",
) -> tuple[Objection, ...]:
    """Why ``by`` may not sign in ``role`` now; empty when they may. ``role`` empty asks for any role that they hold.

    Requester and contributors may neither approve nor reject; a requester withdraws instead.
    """
    applying, problems = _applying(packs, facts)
    people = _with_trainers(people, facts)
    found = [Objection("signoff.undecided", "", problem) for problem in problems]
    if not applying and not problems:
        found.append(Objection("signoff.not_required", "", "No sign-off is required here."))
    if not by.startswith("user:"):
        found.append(Objection("signoff.not_a_person", "", "Only a person can sign."))
    for one in applying:
        found.extend(_independence(one.rule, people, by))
    usable = roles_for(packs, facts, people, by=by)
    if applying and not (role in usable if role else usable):
        asked = ", ".join(sorted({name for one in applying for name in one.roles}))
        held = f" You do not hold {role} here." if role else ""
        found.append(Objection("signoff.role", applying[0].rule.id, f"This needs one of the roles {asked}.{held}"))
    state = signoff_state(packs, facts, events, people, subject_digest)
    if state.vetoes:
        found.append(Objection("signoff.rejected", "", "It was rejected; request a new promotion."))
    if meaning == "approve" and any(slot.by == by for slot in state.filled):
        found.append(Objection("signoff.already_signed", "", "You have signed this already; one person counts once."))
    return tuple(found)


def _with_trainers(people: People, facts: Facts) -> People:
    """Whoever the frozen facts name as a trainer is a contributor, whatever the caller collected."""
    return replace(people, contributors=people.contributors | frozenset(facts.document["version"]["trained_by"]))


def _applying(packs: Sequence[CompiledPack], facts: Facts) -> tuple[list[_Applying], tuple[str, ...]]:
    """The rules that apply, and why some could not be asked."""
    found: list[_Applying] = []
    problems: list[str] = []
    asked = False
    unique = sorted({pack.digest: pack for pack in packs}.values(), key=lambda pack: (pack.id, pack.version))
    for pack in unique:
        if not pack.speaks(facts):
            continue
        values = {**facts.singles, "now": facts.now, "params": pack.params}
        for compiled in pack.signoffs:
            asked = True
            verdict = compiled.applies_when.judge(values)
            problems.extend(f"{compiled.rule.id}: {name}: {why}" for name, why in verdict.errors)
            if verdict.holds:
                found.append(_Applying(compiled.rule, _slots(compiled, values, problems)))
    if not asked:
        problems.append("No active policy pack says who must sign")
    return [one for one in found if one.slots], tuple(problems)


def _slots(compiled: CompiledSignOff, values: Mapping[str, Any], problems: list[str]) -> tuple[frozenset[str], ...]:
    """One entry for each person that is needed; ``min_people`` beyond the slots may be any role of the rule."""
    slots: list[frozenset[str]] = []
    for role, n, when in compiled.slots:
        verdict = when.judge(values) if when is not None else None
        if verdict is not None:
            problems.extend(f"{compiled.rule.id}: {role}: {why}" for _, why in verdict.errors)
        if verdict is None or verdict.holds:
            slots.extend([frozenset({role})] * n)
    anybody = frozenset(role for role, _, _ in compiled.slots)
    slots.extend([anybody] * max(0, compiled.rule.min_people - len(slots)))
    return tuple(slots)


def _fill(
    one: _Applying,
    events: Sequence[SignOffEvent],
    people: People,
    now: datetime,
    subject_digest: str,
    missing: list[Missing],
    filled: list[Filled],
    ignored: list[Ignored],
) -> None:
    """Match people with slots for one rule and note what is taken, what is missing and what did not count."""
    counted: dict[str, dict[str, SignOffEvent]] = {}
    for event in events:
        if event.kind != "approved":
            continue
        why = _flaw(event, events, one, people, now, subject_digest)
        if why:
            ignored.append(Ignored(one.rule.id, event.id, event.by, why))
        else:
            counted.setdefault(event.by, {})[event.role] = event
    matched = match(one.slots, {person: frozenset(by_role) for person, by_role in _freshest_first(counted)})
    for position, slot in enumerate(one.slots):
        if position in matched:
            person = matched[position]
            event = max((counted[person][role] for role in slot & set(counted[person])), key=lambda event: event.at)
            filled.append(Filled(one.rule.id, event.role, person, event.id, event.at + one.rule.valid_for))
    empty = [slot for position, slot in enumerate(one.slots) if position not in matched]
    for slot in dict.fromkeys(empty):
        role = next(iter(slot)) if len(slot) == 1 else "any"
        missing.append(Missing(one.rule.id, role, empty.count(slot)))


def match(slots: Sequence[frozenset[str]], people: Mapping[str, frozenset[str]]) -> dict[int, str]:
    """A largest assignment of people to slots, slot position -> person; nobody is used twice.

    Kuhn's augmenting paths (Naval Research Logistics Quarterly 2, 1955). Whoever comes first in ``people`` stays
    matched when somebody later is added, so the order decides who counts when there are more people than slots.
    """
    taken: dict[int, str] = {}

    def place(person: str, seen: set[int]) -> bool:
        for position, slot in enumerate(slots):
            if position in seen or not slot & people[person]:
                continue
            seen.add(position)
            if position not in taken or place(taken[position], seen):
                taken[position] = person
                return True
        return False

    for person in people:
        place(person, set())
    return taken


def _freshest_first(counted: Mapping[str, dict[str, SignOffEvent]]) -> list[tuple[str, dict[str, SignOffEvent]]]:
    """Those whose signature lasts longest first, so that the approval is valid as long as it can be."""
    return sorted(counted.items(), key=lambda pair: (-max(e.at.timestamp() for e in pair[1].values()), pair[0]))


def _flaw(
    event: SignOffEvent,
    events: Sequence[SignOffEvent],
    one: _Applying,
    people: People,
    now: datetime,
    subject_digest: str,
) -> str:
    """Why an approval does not count (a word), or empty."""
    rule = one.rule
    proved = event.at - event.reauth_at if event.reauth_at else None
    checks = {
        "stale": event.subject_digest != subject_digest,
        "not_a_person": not event.by.startswith("user:"),
        "not_independent": bool(_independence(rule, people, event.by)),
        "role_not_asked": event.role not in one.roles,
        "role_lost": event.role not in people.roles.get(event.by, frozenset()),
        "in_the_future": event.at.replace(microsecond=0) > now,
        "reauthentication": proved is None or not timedelta() <= proved <= rule.reauth_max_age,
        "expired": now >= event.at + rule.valid_for,
        "revoked": any(_undone(event, other, "revoked", people) for other in events),
        "rejected_later": any(
            other.kind == "rejected"
            and other.by == event.by
            and other.subject_digest == subject_digest
            and other.at >= event.at
            for other in events
        ),
    }
    return next((why for why, wrong in checks.items() if wrong), "")


def _vetoes(
    event: SignOffEvent,
    events: Sequence[SignOffEvent],
    applying: Sequence[_Applying],
    people: People,
    subject_digest: str,
) -> bool:
    """A rejection of this subject in a role that is asked for, not reopened.

    Losing the role afterwards does not lift it: otherwise taking a role away could turn a refusal into an approval.
    """
    return (
        event.kind == "rejected"
        and event.subject_digest == subject_digest
        and any(event.role in one.roles for one in applying)
        and not any(_undone(event, other, "reopened", people) for other in events)
    )


def _undone(event: SignOffEvent, other: SignOffEvent, kind: EventKind, people: People) -> bool:
    """``other`` takes ``event`` back: by its author, or by a policy owner who is independent of the promotion."""
    owner = other.by in people.policy_owners and other.by != people.requester and other.by not in people.contributors
    return other.kind == kind and other.undoes == event.id and other.at >= event.at and (other.by == event.by or owner)


def _independence(rule: SignOffRule, people: People, by: str) -> list[Objection]:
    found = []
    if "requester" in rule.exclude and by == people.requester:
        sentence = "You requested this promotion; somebody else must sign."
        found.append(Objection("signoff.requester", rule.id, sentence))
    if "contributors" in rule.exclude and by in people.contributors:
        sentence = "You worked on this version; somebody independent must sign."
        found.append(Objection("signoff.contributor", rule.id, sentence))
    return found
