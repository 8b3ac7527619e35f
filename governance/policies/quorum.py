"""Sign-offs: a pure function of rules, events, people, clock and subject. Nobody stores ``approved`` anywhere.

Approved means: for every rule that applies there are as many different, independent people as the rule has slots, each
of whom signed exactly this subject, recently enough, after proving who they are, in a role that they still hold, and
nobody who may has refused. An approval by a person who trained the version or requested the promotion is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from governance.policies.compile import CompiledPack, CompiledSignOff
from governance.policies.facts import Facts
from governance.policies.parts import SignOffRule
from governance.policies.signatures import (
    Asked,
    People,
    SignOffEvent,
    excluded,
    flaw,
    may_refuse,
    signature_of,
    vetoes,
)
from governance.policies.staffing import out_of_turn, staff
from governance.policies.vocabulary import format_time

State = Literal["approved", "awaiting_signoff", "rejected", "not_required", "error"]


@dataclass(frozen=True, slots=True)
class Missing:
    """``n`` more people in ``role`` must sign for ``rule``."""

    rule: str
    role: str
    n: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot that is taken. ``expires_at`` is when this signature stops counting.

    ``owner`` is whose slot it is when a delegate signed, else empty.
    """

    rule: str
    role: str
    by: str
    event: str
    expires_at: datetime
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An approval that does not count, and why (a word of ``signatures.flaw``, or ``out_of_turn``)."""

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
                    **({"owner": one.owner} if one.owner else {}),
                }
                for one in self.filled
            ],
            "ignored": [{"rule": one.rule, "event": one.event, "by": one.by, "why": one.why} for one in self.ignored],
            "vetoes": list(self.vetoes),
            "problems": list(self.problems),
            "valid_until": format_time(self.valid_until) if self.valid_until else "",
        }


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
    refusals = tuple(event.id for event in ordered if vetoes(event, ordered, applying, people, subject_digest))
    missing: list[Missing] = []
    filled: list[Filled] = []
    ignored: list[Ignored] = []
    for one in applying:
        _fill(one, ordered, people, facts.now, subject_digest, missing, filled, ignored)
    state: State = "rejected" if refusals else "awaiting_signoff" if missing else "approved"
    return SignOffState(
        state=state,
        missing=tuple(missing),
        filled=tuple(filled),
        ignored=tuple(ignored),
        vetoes=refusals,
        valid_until=min((slot.expires_at for slot in filled), default=None) if state == "approved" else None,
    )


def roles_for(packs: Sequence[CompiledPack], facts: Facts, people: People, *, by: str) -> tuple[str, ...]:
    """The roles in which ``by`` could sign: those that an applying rule asks for and that they hold, sorted."""
    applying, _ = _applying(packs, facts)
    asked = {role for one in applying for role in one.roles}
    return tuple(sorted(asked & people.roles.get(by, frozenset())))


def lent_to(
    packs: Sequence[CompiledPack],
    facts: Facts,
    events: Sequence[SignOffEvent],
    people: People,
    subject_digest: str,
    *,
    by: str,
) -> tuple[SignOffEvent, ...]:
    """The delegations under which ``by`` could sign now, in the order of ``events``."""
    return tuple(
        one
        for one in events
        if one.kind == "delegated"
        and one.to == by
        and not objections(packs, facts, events, people, subject_digest, by=by, role=one.role, delegation=one.id)
    )


def factors_for(packs: Sequence[CompiledPack], facts: Facts, role: str) -> int:
    """How many proofs of identity a signature in that role needs to count for every rule that asks for it: 1 or 2."""
    return max((one.rule.factors for one in _applying(packs, facts)[0] if role in one.roles), default=1)


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
    delegation: str = "",
) -> tuple[Objection, ...]:
    """Why ``by`` may not sign in ``role`` now; empty when they may. ``role`` empty asks for any role that they hold.

    ``delegation`` is the id of the one in ``events`` under which they would sign. Requester and contributors may
    neither approve nor reject; a requester withdraws instead. Whoever signs before their turn may still reject.
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
    owner = by
    if delegation:
        owner = next((one.by for one in events if one.kind == "delegated" and one.id == delegation), by)
        trial = SignOffEvent(
            *("", "approved", by, role, subject_digest, facts.now, facts.now), factors=2, delegation=delegation
        )
        if applying and all(flaw(trial, events, one, people, facts.now, subject_digest) for one in applying):
            sentence = "This delegation does not let you sign here: it has ended, or the rule does not allow it."
            found.append(Objection("signoff.delegation", applying[0].rule.id, sentence))
    elif applying:
        found.extend(_without_role(applying, roles_for(packs, facts, people, by=by), role))
    state = signoff_state(packs, facts, events, people, subject_digest)
    if state.vetoes:
        found.append(Objection("signoff.rejected", "", "It was rejected; request a new promotion."))
    if meaning == "reject":
        return tuple(found)
    if any(slot.by == by for slot in state.filled):
        found.append(Objection("signoff.already_signed", "", "You have signed this already; one person counts once."))
    elif any({slot.by, slot.owner} & {by, owner} for slot in state.filled):
        sentence = "You or the person for whom you would sign stand behind another signature; one person counts once."
        found.append(Objection("signoff.delegate_signed", "", sentence))
    asked = (role,) if role else roles_for(packs, facts, people, by=by)
    waiting = [_waits_for(applying, state, each) for each in asked]
    if waiting and all(waiting):
        sentence = f"It is not your turn: {', '.join(waiting[0])} must sign before."
        found.append(Objection("signoff.turn", applying[0].rule.id, sentence))
    return tuple(found)


def may_veto(packs: Sequence[CompiledPack], facts: Facts, role: str) -> bool:
    """Whether a refusal in ``role`` blocks; one that does not is recorded and leaves the rest waiting."""
    return any(may_refuse(one, role) for one in _applying(packs, facts)[0])


def _without_role(applying: Sequence[Asked], usable: Sequence[str], role: str) -> list[Objection]:
    if role in usable if role else usable:
        return []
    asked = ", ".join(sorted({name for one in applying for name in one.roles}))
    held = f" You do not hold {role} here." if role else ""
    return [Objection("signoff.role", applying[0].rule.id, f"This needs one of the roles {asked}.{held}")]


def _waits_for(applying: Sequence[Asked], state: SignOffState, role: str) -> tuple[str, ...]:
    """The roles whose slots are empty and come before ``role`` in every rule that asks for it; empty when it is due."""
    missing = {(one.rule, one.role) for one in state.missing}
    waits = []
    for one in applying:
        if role in one.roles:
            order = one.rule.order
            before = order[: order.index(role)] if role in order else ()
            waits.append(tuple(each for each in before if (one.rule.id, each) in missing))
    return waits[0] if waits and all(waits) else ()


def _with_trainers(people: People, facts: Facts) -> People:
    """Whoever the frozen facts name as a trainer is a contributor, whatever the caller collected."""
    return replace(people, contributors=people.contributors | frozenset(facts.document["version"]["trained_by"]))


def _applying(packs: Sequence[CompiledPack], facts: Facts) -> tuple[list[Asked], tuple[str, ...]]:
    """The rules that apply, and why some could not be asked."""
    found: list[Asked] = []
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
                found.append(Asked(compiled.rule, _slots(compiled, values, problems)))
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
    one: Asked,
    events: Sequence[SignOffEvent],
    people: People,
    now: datetime,
    subject_digest: str,
    missing: list[Missing],
    filled: list[Filled],
    ignored: list[Ignored],
) -> None:
    """Match people with slots for one rule and note what is taken, what is missing and what did not count."""
    counted = []
    for event in events:
        if event.kind != "approved":
            continue
        if why := flaw(event, events, one, people, now, subject_digest):
            ignored.append(Ignored(one.rule.id, event.id, event.by, why))
        else:
            counted.append(signature_of(event, events))
    staffed = staff(one, counted)
    for position in sorted(staffed):
        event, owner = staffed[position].event, staffed[position].owner
        lasts = event.at + one.rule.valid_for
        lent = owner if owner != event.by else ""
        filled.append(Filled(one.rule.id, event.role, event.by, event.id, lasts, lent))
    for each in counted:
        if out_of_turn(one, staffed, each):
            ignored.append(Ignored(one.rule.id, each.event.id, each.event.by, "out_of_turn"))
    empty = [slot for position, slot in enumerate(one.slots) if position not in staffed]
    for slot in dict.fromkeys(empty):
        role = next(iter(slot)) if len(slot) == 1 else "any"
        missing.append(Missing(one.rule.id, role, empty.count(slot)))


def _independence(rule: SignOffRule, people: People, by: str) -> list[Objection]:
    said = {
        "requester": "You requested this promotion; somebody else must sign.",
        "contributor": "You worked on this version; somebody independent must sign.",
    }
    return [Objection(f"signoff.{why}", rule.id, said[why]) for why in excluded(rule, people, by)]
