"""Facts: what was known at one moment, frozen, canonical and addressed by digest.

The builder fails closed. A required fact that is missing is refused (``MissingFact``): proto3 reads an unset field as
``""`` or ``false``, so a data set without a classification would read as *not personal*. What may be unknown is mapped
to the strictest reading: unknown classification is sensitive personal data, an unknown or unconfirmed region is
``nowhere``, which no rule allows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from google.protobuf.message import Message

from governance.policies.papers import (
    EmergencyFact,
    EvidenceFact,
    ExplanationFact,
    IncidentFact,
    Paper,
    ReviewFact,
    SafeguardFact,
    WaiverFact,
)
from governance.policies.vocabulary import (
    ENGINE_STRUCTS,
    STRUCTS,
    UNKNOWN,
    Word,
    format_time,
    message_of,
    parse_time,
)

#: Written today; every format before it is still read, so that an old decision can be made again.
FORMAT = "countersign-facts/3"
_FORMATS = {"countersign-facts/1": 1, "countersign-facts/2": 2, FORMAT: 3}
NOWHERE = "nowhere"
_CLASSIFICATIONS = frozenset({"none", "personal", "sensitive", "special"})
_TIERS = frozenset({"prod", "dr", "staging"})
_RISKS = frozenset({"high", "limited", "minimal"})
FLOW_KINDS = frozenset({"dataset", "serving", "inference_log", "backup", "support_access", "explanation_job"})
_SINGLE = {"model": "Model", "version": "Version", "environment": "Environment", "promotion": "Promotion"}
_MANY = {"flows": "Flow", "safeguards": "Safeguard"}
#: Lists that stand in a document only when they are not empty, so that decisions from before they existed replay.
_WHEN_ANY = {
    "evidence": "Evidence",
    "explanations": "Explanation",
    "incidents": "Incident",
    "waivers": "Waiver",
    "emergencies": "Emergency",
    "reviews": "Review",
}


class MissingFact(Exception):  # noqa: N818  (a word of the product, like the refusals)
    """The facts cannot be frozen. ``field`` is like ``flow.kind``; ``subject`` says of what; both may be shown."""

    def __init__(self, field: str, subject: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.subject = subject
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ModelFact:
    name: str
    risk: str = UNKNOWN

    def values(self) -> dict[str, Any]:
        return {"name": self.name, "risk": self.risk if self.risk in _RISKS else "high"}


@dataclass(frozen=True, slots=True)
class VersionFact:
    """``trained_by``: actor ids of all contributors, not only of the last one who pressed the button."""

    subject: str
    number: str
    digest: str = ""
    trained_by: Sequence[str] = ()
    run_id: str = ""

    def values(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "number": self.number,
            "digest": self.digest,
            "trained_by": _set(self.trained_by),
            "run_id": self.run_id,
        }


@dataclass(frozen=True, slots=True)
class EnvironmentFact:
    slug: str
    tier: str = UNKNOWN
    perimeter: str = UNKNOWN

    def values(self) -> dict[str, Any]:
        tier = self.tier if self.tier in _TIERS else "prod"
        return {"slug": self.slug, "tier": tier, "perimeter": self.perimeter or UNKNOWN}


@dataclass(frozen=True, slots=True)
class PromotionFact:
    """What is asked: ``action`` is promote, deploy, increase, rollback or run."""

    action: str
    requested_by: str
    strategy: str = ""
    weight: int = 0

    def values(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "strategy": self.strategy,
            "weight": self.weight,
            "requested_by": self.requested_by,
        }


@dataclass(frozen=True, slots=True)
class FlowFact:
    """Bytes in one place: a copy of a data set, a serving region, a log sink. One flow for each region of a set.

    ``confirmed``: the region is generally available or an operator vouches for it; otherwise it satisfies no rule.
    ``path`` leads from the version to ``subject``, both included. ``perimeter`` is the law that governs the data, which
    no region tells: bytes in a UAE region lie outside ADGM and DIFC.
    """

    kind: str
    subject: str
    region: str = ""
    country: str = ""
    confirmed: bool = False
    classification: str = UNKNOWN
    data_subjects: Sequence[str] = ()
    path: Sequence[str] = ()
    perimeter: str = ""

    def values(self) -> dict[str, Any]:
        if self.kind not in FLOW_KINDS:
            raise MissingFact(
                "flow.kind", self.subject, f"The kind of flow {self.kind!r} of {self.subject} is not known."
            )
        known = self.classification in _CLASSIFICATIONS
        placed = bool(self.region) and self.confirmed
        personal = self.classification != "none"
        return {
            "kind": self.kind,
            "subject": self.subject,
            "region": self.region if placed else NOWHERE,
            "claimed_region": self.region,
            "country": self.country if placed else "",
            "classification": self.classification if known else UNKNOWN,
            "personal": personal,
            "sensitive": personal and self.classification != "personal",
            "data_subjects": _set(self.data_subjects) or ([UNKNOWN] if personal else []),
            "path": list(self.path),
            "perimeter": self.perimeter or UNKNOWN,
        }


@dataclass(frozen=True)
class Facts:
    """Frozen facts. ``document`` is what is stored; never change it, the digest is of its canonical form."""

    document: Mapping[str, Any]
    digest: str

    @cached_property
    def now(self) -> datetime:
        return parse_time(self.document["now"])

    @cached_property
    def flows(self) -> tuple[tuple[Mapping[str, Any], Message], ...]:
        """Each flow as (JSON form, message)."""
        return tuple((values, message_of("Flow", values)) for values in self.document["flows"])

    @cached_property
    def safeguards(self) -> tuple[tuple[Mapping[str, Any], Message], ...]:
        """Each safeguard as (JSON form, message)."""
        return tuple((values, message_of("Safeguard", values)) for values in self.document["safeguards"])

    @property
    def evidence(self) -> tuple[Mapping[str, Any], ...]:
        """What was issued about the version, by reference."""
        return tuple(self.document.get("evidence", ()))

    @property
    def explanations(self) -> tuple[Mapping[str, Any], ...]:
        """Finished explanations of the version, by number."""
        return tuple(self.document.get("explanations", ()))

    def shown(self, what: str) -> tuple[Mapping[str, Any], ...]:
        """What a rule that needs ``evidence`` or an ``explanation`` may be satisfied by."""
        return self.explanations if what == "explanation" else self.evidence

    @property
    def waivers(self) -> tuple[Mapping[str, Any], ...]:
        """Waivers for the version in its environment, proposed ones too, by reference."""
        return tuple(self.document.get("waivers", ()))

    @property
    def incidents(self) -> tuple[Mapping[str, Any], ...]:
        """The freezes that reach the version, by reference."""
        return tuple(self.document.get("incidents", ()))

    @property
    def emergencies(self) -> tuple[Mapping[str, Any], ...]:
        """Emergencies of the version in its environment that two people declared, by reference."""
        return tuple(self.document.get("emergencies", ()))

    @property
    def overdue_reviews(self) -> tuple[Mapping[str, Any], ...]:
        """Reviews of emergencies of the model whose deadline has passed, by reference."""
        now = self.document["now"]
        return tuple(one for one in self.document.get("reviews", ()) if one["due_at"] <= now)

    @cached_property
    def singles(self) -> dict[str, Message]:
        """model, version, environment, promotion and data as messages."""
        found = {name: message_of(struct, self.document[name]) for name, struct in _SINGLE.items()}
        found["data"] = message_of("Data", _summary(self.document["flows"]))
        return found

    @property
    def subject(self) -> str:
        """The version that is decided about."""
        return str(self.document["version"]["subject"])


def freeze(
    *,
    now: datetime,
    model: ModelFact,
    version: VersionFact,
    environment: EnvironmentFact,
    promotion: PromotionFact,
    flows: Iterable[FlowFact],
    safeguards: Iterable[SafeguardFact] = (),
    incidents: Iterable[IncidentFact] = (),
    evidence: Iterable[EvidenceFact] = (),
    explanations: Iterable[ExplanationFact] = (),
    waivers: Iterable[WaiverFact] = (),
    emergencies: Iterable[EmergencyFact] = (),
    reviews: Iterable[ReviewFact] = (),
) -> Facts:
    """Freeze what is known at ``now`` (cut to whole seconds).

    Equal facts in any order give the same digest. Raises ``MissingFact`` when a required fact is missing or two
    different facts claim one identity.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "now": format_time(now),
        "model": model.values(),
        "version": version.values(),
        "environment": environment.values(),
        "promotion": promotion.values(),
        "flows": _sorted((flow.values() for flow in flows), ("kind", "subject", "region", "claimed_region")),
        "safeguards": _sorted((safeguard.values() for safeguard in safeguards), ("id",)),
    }
    papers: dict[str, Iterable[Paper]] = {
        "evidence": evidence,
        "explanations": explanations,
        "incidents": incidents,
        "waivers": waivers,
        "emergencies": emergencies,
        "reviews": reviews,
    }
    for name, given in papers.items():
        if rows := _sorted((one.values() for one in given), ("id",)):
            document[name] = rows
    return thaw(document)


def thaw(document: Mapping[str, Any]) -> Facts:
    """Facts from their stored JSON form, of any format so far, checked field by field. Raises ``MissingFact``.

    The document stays as it was stored, so its digest does too.
    """
    expected = {"format", "now", *_SINGLE, *_MANY}
    if set(document) - set(_WHEN_ANY) != expected:
        odd = ", ".join(sorted((set(document) - set(_WHEN_ANY)) ^ expected))
        raise MissingFact("facts", "facts", f"The facts lack or do not know: {odd}.")
    known = _FORMATS.get(str(document["format"]))
    if known is None:
        sentence = f"Facts of format {document['format']!r} are not understood; known are {', '.join(_FORMATS)}."
        raise MissingFact("format", "facts", sentence)
    _check_value(Word("now", "timestamp", True), document["now"], "now", "facts")
    for name, struct in _SINGLE.items():
        _check_struct(struct, document[name], name, known)
    for name, struct in {**_MANY, **{name: _WHEN_ANY[name] for name in _WHEN_ANY if name in document}}.items():
        if not isinstance(document[name], list) or (name in _WHEN_ANY and not document[name]):
            raise MissingFact(name, "facts", f"{name} must be a list.")
        for values in document[name]:
            _check_struct(struct, values, struct.lower(), known)
    return Facts(document=document, digest=digest_of(document))


def canonical(document: Mapping[str, Any]) -> bytes:
    """RFC 8785 canonical JSON.

    For what facts are made of (ASCII keys, text, whole numbers, booleans) the standard library's C encoder writes the
    same bytes as ``rfc8785`` at a fraction of the time; ``tests/governance/policies/test_facts.py`` compares the two.
    Raises ``MissingFact`` for text that has no UTF-8 form.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise MissingFact("facts", "facts", f"A fact holds text that cannot be written as UTF-8: {error}.") from error


def digest_of(document: Mapping[str, Any]) -> str:
    """``sha256:`` of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()


def _check_struct(struct: str, values: object, name: str, known: int) -> None:
    """The fields that facts of format ``known`` have, each of its type."""
    if not isinstance(values, Mapping):
        raise MissingFact(name, "facts", f"{name} must be an object.")
    words = [word for word in STRUCTS.get(struct) or ENGINE_STRUCTS[struct] if word.since <= known]
    words = [word for word in words if not word.absent_when_empty or word.name in values]
    odd = set(values) ^ {word.name for word in words}
    if odd:
        raise MissingFact(name, name, f"{name} lacks or does not know: {', '.join(sorted(map(str, odd)))}.")
    subject = str(values.get("subject") or values.get("slug") or values.get("id") or values.get("name") or name)
    for word in words:
        _check_value(word, values[word.name], f"{name}.{word.name}", subject)


def _check_value(word: Word, value: object, name: str, subject: str) -> None:
    if word.kind == "strings":
        fine = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
    elif word.kind == "int":
        fine = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    else:
        fine = isinstance(value, bool if word.kind == "bool" else str)
    if fine and word.kind == "timestamp" and value:
        try:
            parse_time(str(value))
        except ValueError:
            fine = False
    if not fine:
        raise MissingFact(name, subject, f"The fact {name} of {subject} must be of type {word.kind}.")
    if word.required and not value:
        raise MissingFact(name, subject, f"The fact {name} of {subject} is missing.")


def _summary(flows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the flows say together. No flows at all means that nothing is known, which is personal and sensitive."""
    if not flows:
        return {"personal": True, "sensitive": True, "data_subjects": [UNKNOWN]}
    return {
        "personal": any(flow["personal"] for flow in flows),
        "sensitive": any(flow["sensitive"] for flow in flows),
        "data_subjects": sorted({who for flow in flows for who in flow["data_subjects"]}),
    }


def _set(values: Sequence[str]) -> list[str]:
    return sorted(set(values))


def _sorted(rows: Iterable[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in keys)
        if found.setdefault(key, row) != row:
            raise MissingFact(keys[0], key[0], f"Two different facts claim to be {' '.join(key)}.")
    return [found[key] for key in sorted(found)]
