"""The cases that a pack carries, as they are written: ``cases:`` of its YAML to frozen facts and what is expected.

A case says only what matters to it; everything else is the base case below: a model of high risk, trained by one
person and requested by another, for a production environment in the UAE, with one set of personal data of people in the
UAE that lies there, no safeguard, no evidence, no explanation and no signature. What is written replaces the base, in
the words of the vocabulary; a word that no rule could read is refused with its line and column.

Not part of ``read_pack``: cases decide nothing, so a decision can be made again whatever has been learned about them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from governance.policies.compile import CompiledPack
from governance.policies.facts import (
    FLOW_KINDS,
    NOWHERE,
    EnvironmentFact,
    Facts,
    FlowFact,
    MissingFact,
    ModelFact,
    PromotionFact,
    VersionFact,
    freeze,
)
from governance.policies.papers import EvidenceFact, ExplanationFact, SafeguardFact
from governance.policies.parts import Rule
from governance.policies.schema import PERIMETERS, ROLES, TIERS
from governance.policies.signatures import People, SignOffEvent
from governance.policies.vocabulary import STRUCTS, UNKNOWN, Word, format_time, parse_time
from governance.policies.written import Reader

#: What a case that says nothing is about: section -> word -> value.
BASE: Mapping[str, Mapping[str, Any]] = {
    "model": {"name": "credit-scoring", "risk": "high"},
    "version": {
        "subject": "version:credit-scoring/14",
        "number": "14",
        "digest": "sha256:" + "a" * 64,
        "trained_by": ["user:trainer"],
        "run_id": "run-14",
    },
    "environment": {"slug": "prod-uae", "tier": "prod", "perimeter": "AE-federal"},
    "promotion": {"action": "promote", "strategy": "canary", "weight": 10, "requested_by": "user:requester"},
}
#: What an item of a list is when it says nothing. The base case has one such flow and nothing of the others.
EACH: Mapping[str, Mapping[str, Any]] = {
    "flows": {
        "kind": "dataset",
        "subject": "dataset:loans",
        "region": "azure:uaenorth",
        "claimed_region": "",
        "country": "AE",
        "classification": "personal",
        "data_subjects": ["AE"],
        "perimeter": "AE-federal",
    },
    "safeguards": {
        "id": "TS-1",
        "type": "SCC",
        "status": "active",
        "subjects": ["dataset:loans"],
        "regions": ["aws:eu-central-1"],
        "expires_at": "2026-12-22T09:00:00Z",
        "risk_assessment_at": "2026-11-12T09:00:00Z",
        "law": "AE-federal",
    },
    "evidence": {
        "id": "EV-1",
        "type": "validation_report",
        "status": "active",
        "subject": "version:credit-scoring/14",
        "digest": "sha256:" + "e" * 64,
        "artifact_digest": "sha256:" + "a" * 64,
        "environment": "",
        "issued_by": "user:lead",
        "issued_at": "2026-11-12T09:00:00Z",
        "expires_at": "2027-05-12T09:00:00Z",
        "signer": "",
    },
    "explanations": {
        "id": "explanation:1",
        "subject": "version:credit-scoring/14",
        "version_digest": "sha256:" + "a" * 64,
        "method": "shap",
        "algorithm": "pair_perm",
        "level": "standard",
        "scale": "probability",
        "standing": "evidence",
        "stale": [],
        "stable": True,
        "erased": False,
        "rows": 200,
        "background": 100,
        "finished_at": "2026-11-12T09:00:00Z",
        "environment": "staging-uae",
        "receipt": "sha256:" + "c" * 64,
    },
}
NOW = "2026-11-22T09:00:00Z"
#: The subject that the signatures of a case are for.
SUBJECT = "sha256:" + "5" * 64
LIMIT_CASES = 200
WORDS = ("allow", "deny", "error")
OUTCOMES = ("pass", "fail", "error", "not_applicable")
_STRUCT = {"model": "Model", "version": "Version", "environment": "Environment", "promotion": "Promotion"}
_STRUCT |= {"flows": "Flow", "safeguards": "Safeguard", "evidence": "Evidence", "explanations": "Explanation"}
_SECTIONS = (*BASE, *EACH, "signoffs", "now")
#: Words that follow from others, by section -> from which.
_FOLLOWS: Mapping[str, Mapping[str, str]] = {
    "flows": {"personal": "classification", "sensitive": "classification", "path": "subject"},
    "explanations": {"fresh": "stale"},
}
_LAWS = (*PERIMETERS, UNKNOWN)
#: Words that have few values: facts read any other as the strictest, so a misspelt one would pass for it in silence.
_CLOSED: Mapping[tuple[str, str], Sequence[str]] = {
    ("model", "risk"): ("high", "limited", "minimal", UNKNOWN),
    ("environment", "tier"): (*TIERS, UNKNOWN),
    ("environment", "perimeter"): _LAWS,
    ("promotion", "action"): ("promote", "deploy", "increase", "rollback", "run"),
    ("flows", "kind"): tuple(sorted(FLOW_KINDS)),
    ("flows", "classification"): ("none", "personal", "sensitive", "special", UNKNOWN),
    ("flows", "perimeter"): _LAWS,
    ("safeguards", "type"): ("SCC", "BCR", "ACCREDITATION_CERT", "ADEQUACY", "DEROGATION"),
    ("safeguards", "status"): ("active", "proposed", "revoked"),
    ("safeguards", "law"): _LAWS,
    ("evidence", "status"): ("active", "withdrawn"),
    ("explanations", "method"): ("shap", "lime"),
    ("explanations", "level"): ("quick", "standard", "audit"),
    ("explanations", "scale"): ("probability", "log_odds", "raw"),
    ("explanations", "standing"): ("evidence", "draft"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a case expects of one rule; an empty ``rule`` is the word of the whole pack. ``failed`` None: any."""

    rule: str
    outcome: str
    failed: tuple[str, ...] | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Case:
    """One case: facts, signatures with their people, and what is expected. ``line`` and ``column`` are its place."""

    name: str
    facts: Facts
    events: tuple[SignOffEvent, ...]
    people: People
    wanted: tuple[Wanted, ...]
    line: int
    column: int


def read_cases(pack: CompiledPack) -> tuple[Case, ...]:
    """The cases of a pack in their order. Raises ``PackError`` with everything that is written wrongly."""
    reader = Reader()
    root = reader.document(pack.text)
    node = next((value for key, value in reader.pairs(root) if key == "cases"), None)
    items = reader.items(node)
    if node is not None and not items:
        reader.note(node, "The list cases is empty: leave it out, or say what must come out of something.")
    if len(items) > LIMIT_CASES:
        reader.note(node, f"A pack may have {LIMIT_CASES} cases; this one has {len(items)}.")
    read = [_case(reader, item, pack) for item in items[:LIMIT_CASES]]
    seen: set[str] = set()
    for item, case in zip(items, read, strict=False):
        if case is not None and case.name in seen:
            reader.note(item, f"The name {case.name!r} is used twice.")
        seen.add(case.name if case is not None else "")
    reader.rule = ""
    reader.finish()
    return tuple(case for case in read if case is not None)


def _case(reader: Reader, node: yaml.Node, pack: CompiledPack) -> Case | None:
    keys = reader.mapping(node, required=("name", "expect"), optional=("given",))
    name = reader.text(keys.get("name")).value
    wanted = _wanted(reader, keys.get("expect"), pack)
    sections = reader.mapping(keys["given"], optional=_SECTIONS) if "given" in keys else {}
    before = len(reader.problems)
    try:
        facts = _facts(reader, sections)
    except MissingFact as missing:
        reader.note(keys.get("given", node), missing.sentence)
        return None
    events = _signatures(reader, sections.get("signoffs"), facts)
    if len(reader.problems) > before:
        return None
    return Case(
        name=name,
        facts=facts,
        events=events,
        people=_people(facts, events),
        wanted=wanted,
        line=node.start_mark.line + 1,
        column=node.start_mark.column + 1,
    )


def _facts(reader: Reader, sections: Mapping[str, yaml.Node]) -> Facts:
    """The base case with what is written in its place. Raises ``MissingFact`` for facts that cannot be frozen."""
    single = {name: {**BASE[name], **_values(reader, name, sections.get(name))} for name in BASE}
    path = str(single["version"]["subject"])
    place = f"environment:{single['environment']['slug']}"
    written = reader.items(sections["flows"]) if "flows" in sections else [None]
    flows = [_flow(reader, item, path, place) for item in written]
    guards = [_values(reader, "safeguards", item) for item in reader.items(sections.get("safeguards"))]
    papers = [_values(reader, "evidence", item) for item in reader.items(sections.get("evidence"))]
    explained = [_values(reader, "explanations", item) for item in reader.items(sections.get("explanations"))]
    about = {"subject": path, "version_digest": single["version"]["digest"]}
    own = {"subject": path, "artifact_digest": single["version"]["digest"]}
    now = sections.get("now")
    return freeze(
        now=parse_time((_time(reader, now) if now is not None else "") or NOW),
        model=ModelFact(**single["model"]),
        version=VersionFact(**single["version"]),
        environment=EnvironmentFact(**single["environment"]),
        promotion=PromotionFact(**single["promotion"]),
        flows=flows,
        safeguards=[SafeguardFact(**_timed("Safeguard", {**EACH["safeguards"], **one})) for one in guards],
        evidence=[EvidenceFact(**_timed("Evidence", {**EACH["evidence"], **own, **one})) for one in papers],
        explanations=[
            ExplanationFact(**_timed("Explanation", {**EACH["explanations"], **about, **one})) for one in explained
        ],
    )


def _flow(reader: Reader, node: yaml.Node | None, version: str, place: str) -> FlowFact:
    """A flow whose words agree with each other: a place names its country, and what is nowhere has none."""
    given = _values(reader, "flows", node)
    if given.get("kind", "dataset") != "dataset":
        given.setdefault("subject", place)
    region = given.get("region", "")
    claimed = given.pop("claimed_region", "")
    if region not in ("", NOWHERE):
        if "country" not in given:
            reader.note(node, f"{region} is in a country: say in which (country: DE).")
        if claimed not in ("", region):
            reader.note(node, "What is claimed differs from the region only where that is nowhere.")
    elif region == NOWHERE and given.get("country"):
        reader.note(node, "What is nowhere is in no country: leave the country out.")
    values = {**EACH["flows"], **given}
    del values["claimed_region"]
    if region == NOWHERE:
        values["region"] = claimed
    return FlowFact(**values, confirmed=region != NOWHERE, path=(version, str(values["subject"])))


def _values(reader: Reader, section: str, node: yaml.Node | None) -> dict[str, Any]:
    """What one struct says, word by word, each of its type and none unknown."""
    if node is None:
        return {}
    words = {word.name: word for word in STRUCTS[_STRUCT[section]]}
    found: dict[str, Any] = {}
    for name, value in reader.mapping(node, optional=tuple(words)).items():
        if from_what := _FOLLOWS.get(section, {}).get(name):
            reader.note(value, f"{name} follows from {from_what}: write that.")
        else:
            found[name] = _value(reader, words[name], value, _CLOSED.get((section, name), ()))
    return found


def _value(reader: Reader, word: Word, node: yaml.Node, closed: Sequence[str]) -> Any:
    if word.kind == "strings":
        return list(reader.texts(node))
    if word.kind == "int":
        return reader.integer(node, least=0, most=2**53 - 1)
    if word.kind == "bool":
        return reader.truth(node)
    if not word.required and isinstance(node, yaml.ScalarNode) and node.value == "" and node.style in ("'", '"'):
        return ""
    return _time(reader, node) if word.kind == "timestamp" else reader.word(node, *closed)


def _time(reader: Reader, node: yaml.Node) -> str:
    """RFC 3339 in UTC, in quotes or without; empty after noting what is none."""
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    try:
        return format_time(parse_time(text))
    except ValueError:
        reader.note(node, f"A time in UTC such as {NOW} is expected here.")
        return ""


def _timed(struct: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """With moments instead of their text; an empty one is unset."""
    times = {word.name for word in STRUCTS[struct] if word.kind == "timestamp"}
    return {name: (parse_time(value) if value else None) if name in times else value for name, value in values.items()}


def _signatures(reader: Reader, node: yaml.Node | None, facts: Facts) -> tuple[SignOffEvent, ...]:
    """Signatures given at the moment of the case, one after the other as they stand, each with fresh proofs.

    ``for`` names who delegated the role to the signer, a moment before.
    """
    found = []
    for number, item in enumerate(reader.items(node), start=1):
        keys = reader.mapping(item, required=("by", "role"), optional=("meaning", "for"))
        meaning = reader.word(keys.get("meaning"), "approve", "reject")
        by, role = reader.text(keys.get("by")).value, reader.word(keys.get("role"), *ROLES)
        owner = reader.text(keys.get("for")).value
        lent = f"delegation-{number:03}" if owner else ""
        at = facts.now + timedelta(microseconds=number)
        if lent:
            found.append(
                SignOffEvent(
                    *(lent, "delegated", owner, role, "", facts.now, facts.now),
                    to=by,
                    starts_at=facts.now,
                    ends_at=facts.now + timedelta(minutes=1),
                )
            )
        found.append(
            SignOffEvent(
                *(f"{number:03}", "rejected" if meaning == "reject" else "approved", by, role, SUBJECT, at, facts.now),
                factors=2,
                delegation=lent,
            )
        )
    return tuple(found)


def _people(facts: Facts, events: Sequence[SignOffEvent]) -> People:
    """Everybody who signs or delegates holds the role; a delegate has an account, and needs no role."""
    roles: dict[str, frozenset[str]] = {}
    for event in events:
        held = frozenset() if event.delegation else frozenset({event.role})
        roles[event.by] = roles.get(event.by, frozenset()) | held
    document = facts.document
    return People(
        roles=roles,
        requester=str(document["promotion"]["requested_by"]),
        contributors=frozenset(document["version"]["trained_by"]),
    )


def _wanted(reader: Reader, node: yaml.Node | None, pack: CompiledPack) -> tuple[Wanted, ...]:
    """A word for the whole pack, or an outcome for each rule that is named."""
    if node is None:
        return ()
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if not isinstance(node, yaml.MappingNode):
        if not pack.pack.rules:
            reader.note(node, "This pack has sign-off rules only: name one with its outcome.")
        return (Wanted("", reader.word(node, *WORDS), None, line, column),)
    found = [_of_rule(reader, rule, value, pack) for rule, value in reader.pairs(node)]
    if not found:
        reader.note(node, "Name at least one rule with its outcome.")
    return tuple(found)


def _of_rule(reader: Reader, rule: str, node: yaml.Node, pack: CompiledPack) -> Wanted:
    failable = failing(pack)
    if rule not in failable:
        off = rule in {one.rule.id for one in pack.disabled}
        why = "is not enabled, so nothing comes out of it" if off else f"is not known here; known are {_list(failable)}"
        reader.note(node, f"The rule {rule} {why}.")
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if not isinstance(node, yaml.MappingNode):
        return Wanted(rule, reader.word(node, *OUTCOMES), None, line, column)
    keys = reader.mapping(node, required=("outcome",), optional=("failed",))
    failed = None
    if "failed" in keys:
        failed = tuple(sorted(reader.texts(keys["failed"], *failable.get(rule, ()))))
    return Wanted(rule, reader.word(keys.get("outcome"), *OUTCOMES), failed, line, column)


def failing(pack: CompiledPack) -> dict[str, tuple[str, ...]]:
    """Rule -> what can be named as failed: conditions of a rule, missing roles of a sign-off rule.

    A pack that is switched off as a whole is tried as if it were on.
    """
    rules = pack.rules if pack.pack.enabled else pack.disabled
    found = {one.rule.id: _conditions_of(one.rule) for one in rules}
    for one in pack.signoffs:
        found[one.rule.id] = (*dict.fromkeys(slot.role for slot in one.rule.require), "any", "rejected")
    return found


def _conditions_of(rule: Rule) -> tuple[str, ...]:
    return (*(name for name, _ in rule.require), *((rule.asks_for,) if rule.needs else ()))


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"
