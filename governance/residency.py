"""Where personal data lie, are sent and are looked at because of what serves now, and what makes that lawful.

Nothing is judged here: every deployment that serves is decided again by the same engine on the same facts as a recheck
(``governance.rechecks``), and each flow of its facts is shown with what the residency rules said of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from governance import decisions, policies, rechecks, sharing
from governance.policies.explain import UNCOVERED as ENGINE_COVERAGE
from governance.policies.facts import NOWHERE
from governance.policies.vocabulary import UNKNOWN
from registry.models import Deployment

logger = logging.getLogger(__name__)
UNCOVERED, WARNED, COVERED, INSIDE, FREE = "uncovered", "warned", "covered", "inside", "free"
#: Worst first. ``uncovered``: a blocking residency rule fails; ``warned``: one that only warns does; ``covered``: a
#: safeguard makes it lawful; ``inside``: where its law wants it; ``free``: not about people, so no rule speaks of it.
STATES = (UNCOVERED, WARNED, COVERED, INSIDE, FREE)

_STRICTNESS = ("none", "personal", "sensitive", "special", UNKNOWN)

Finding = Mapping[str, Any]
Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Cover:
    """A safeguard that makes a flow lawful, until when."""

    reference: str
    until: datetime | None


@dataclass
class Flow:
    """One flow of something that serves: ``subject`` in one region, of one kind, with the worst that was said of it.

    ``country`` and ``region`` are empty when nobody knows the place or it is not confirmed; ``claimed`` is what is said
    of it. ``perimeter`` is the law that governs it, or ``unknown``. ``findings`` are those that say why it is not
    covered; ``deployments`` those because of which the data are there, ``against`` those among them that are denied
    for it.
    """

    kind: str
    subject: str
    region: str
    claimed: str
    country: str
    perimeter: str
    classification: str
    people: tuple[str, ...]
    state: str = FREE
    covers: dict[str, Cover] = field(default_factory=dict)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    deployments: list[Deployment] = field(default_factory=list)
    against: list[Deployment] = field(default_factory=list)

    @property
    def placed(self) -> bool:
        """Whether it is known where this is."""
        return bool(self.region)

    @property
    def environments(self) -> list[str]:
        """The slugs of the environments because of which it is there."""
        return sorted({row.environment.slug for row in self.deployments})


@dataclass(frozen=True, slots=True)
class Residency:
    """Every flow, the worst first. ``undecided`` could not be decided, so nothing is known of their flows;
    ``skipped`` deployments were not looked at.
    """

    flows: tuple[Flow, ...]
    undecided: tuple[tuple[Deployment, str], ...]
    decided: int
    skipped: int

    def of(self, state: str) -> list[Flow]:
        """The flows in one of ``STATES``."""
        return [flow for flow in self.flows if flow.state == state]


def residency(*, most: int | None = None) -> Residency:
    """Every flow of what serves now. ``most`` bounds how many deployments are decided, newest first. A fixed number of
    queries. Raises ``DatabaseError`` only.
    """
    serving = rechecks.serving()
    rows = serving if most is None else serving[-most:]
    if not rows:
        return Residency((), (), 0, 0)
    shared = rechecks.read(rows)
    ends = {row.reference: row.expires_at for row in shared.safeguards}
    found: dict[Key, Flow] = {}
    undecided = []
    with sharing.using(shared):
        for question in _questions(rows):
            verdict = _decided(question[0])
            if isinstance(verdict, str):
                undecided += [(row, verdict) for row in question]
            else:
                _add(found, verdict, question, ends)
    flows = sorted(found.values(), key=lambda flow: (STATES.index(flow.state), flow.placed, flow.subject, flow.kind))
    return Residency(tuple(flows), tuple(undecided), len(rows), len(serving) - len(rows))


def _questions(rows: Iterable[Deployment]) -> list[list[Deployment]]:
    """Deployments about which the same is asked: decided once."""
    asked: dict[tuple[object, ...], list[Deployment]] = {}
    for row in rows:
        asked.setdefault((row.version_id, row.environment_id, row.strategy, row.weight), []).append(row)
    return list(asked.values())


def _decided(row: Deployment) -> decisions.Verdict | str:
    """The engine's verdict, or the sentence that says why there is none."""
    try:
        verdict = decisions.evaluate(rechecks.question(row), needs_signoffs=False)
    except DatabaseError:
        raise
    except Exception as error:  # whatever goes wrong in deciding must not pass for covered
        logger.exception("the flows of what serves could not be decided: %s", row.subject)
        return f"{type(error).__name__}: {error}"[:300]
    return verdict if verdict.collected is not None else verdict.summary


def _add(
    found: dict[Key, Flow], verdict: decisions.Verdict, rows: Sequence[Deployment], ends: Mapping[str, datetime]
) -> None:
    """The flows of one verdict, each merged with the same flow of other deployments: the worst state stays."""
    assert verdict.collected is not None  # noqa: S101  (for the type checker: _decided saw to it)
    rules = _residency_rules(verdict.collected.packs)
    said: dict[Key, list[Finding]] = {}
    for finding in verdict.findings:
        if (finding["pack"], finding["rule"]) in rules:
            said.setdefault(_key(finding["subject"], finding["facts"]), []).append(finding)
    for each in verdict.facts["flows"]:
        key = _key(each["subject"], each)
        flow = found.setdefault(key, _flow(each))
        flow.people = tuple(sorted({*flow.people, *each["data_subjects"]}))
        flow.classification = max(flow.classification, each["classification"], key=_STRICTNESS.index)
        findings = said.get(key, [])
        state = state_of(each["personal"], findings)
        flow.state = min(flow.state, state, key=STATES.index)
        flow.deployments += rows
        if state == UNCOVERED:
            flow.against += rows
        for finding in findings:
            if finding["outcome"] in ("fail", "error"):
                flow.findings.setdefault((finding["pack"], finding["rule"]), finding)
            elif reference := str(finding["waived_by"]):
                flow.covers[reference] = Cover(reference, ends.get(reference))


def state_of(personal: bool, findings: Sequence[Finding]) -> str:
    """What the residency rules say of one flow together. Pure. Personal data of which none spoke are not covered."""
    failed = {finding["severity"] for finding in findings if finding["outcome"] in ("fail", "error")}
    if "block" in failed:
        return UNCOVERED
    if "warn" in failed:
        return WARNED
    passed = [finding for finding in findings if finding["outcome"] == "pass"]
    if any(finding["waived_by"] for finding in passed):
        return COVERED
    if passed:
        return INSIDE
    return UNCOVERED if personal else FREE


def _residency_rules(packs: Iterable[policies.CompiledPack]) -> set[tuple[str, str]]:
    """Pack and rule of each residency rule; the engine's own that no such rule speaks is one of them."""
    named = {(pack.id, one.rule.id) for pack in packs for one in pack.rules if one.rule.concern == "residency"}
    return named | {("", ENGINE_COVERAGE)}


def _key(subject: object, facts: Mapping[str, Any]) -> Key:
    return (
        str(facts.get("kind", "")),
        str(subject),
        str(facts.get("region", "")),
        str(facts.get("claimed_region", "")),
    )


def _flow(each: Mapping[str, Any]) -> Flow:
    placed = each["region"] != NOWHERE
    return Flow(
        kind=each["kind"],
        subject=each["subject"],
        region=each["region"] if placed else "",
        claimed=each["claimed_region"],
        country=each["country"],
        perimeter=each.get("perimeter", UNKNOWN),
        classification=each["classification"],
        people=tuple(each["data_subjects"]),
    )
