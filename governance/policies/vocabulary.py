"""The words that a rule may use: one table, from which the messages, the checks and the documentation come.

Facts are protobuf messages built at run time, because then the CEL compiler refuses a misspelt field or a comparison
of unlike types when a pack is uploaded, not when a model waits at the gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import Message

Kind = Literal["string", "bool", "int", "timestamp", "strings"]
PACKAGE = "countersign"
_PROTO = descriptor_pb2.FieldDescriptorProto
_TYPES: dict[Kind, Any] = {
    "string": _PROTO.TYPE_STRING,
    "bool": _PROTO.TYPE_BOOL,
    "int": _PROTO.TYPE_INT64,
    "timestamp": _PROTO.TYPE_MESSAGE,
    "strings": _PROTO.TYPE_STRING,
}
#: What a fact says when nobody knows. No rule may take it for a yes.
UNKNOWN = "unknown"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Word:
    """One field. ``required``: an empty value is refused, because proto3 would read it as ``""`` or ``false``."""

    name: str
    kind: Kind
    required: bool = False
    says: str = ""
    #: For people only: stored and shown, not part of the message that rules read.
    shown_only: bool = False
    #: Format of the facts that knew it first; facts that were stored before are read as if it were ``before``.
    since: int = 1
    before: str = ""
    #: Left out of the stored facts when empty, and read as empty then: digests of earlier facts stay the same.
    absent_when_empty: bool = False


#: Struct -> fields. The order fixes the protobuf field numbers; append only.
STRUCTS: dict[str, tuple[Word, ...]] = {
    "Model": (
        Word("name", "string", True, "name in the registry"),
        Word("risk", "string", True, "high, limited or minimal; unknown reads as high"),
    ),
    "Version": (
        Word("subject", "string", True, "version:<model>/<number>"),
        Word("number", "string", True, "number within the model"),
        Word("digest", "string", False, "sha256:<64 hex>; empty when nobody gave it"),
        Word("trained_by", "strings", False, "actor ids of everybody who contributed to the training"),
        Word("run_id", "string", False, "training run; empty when unknown"),
    ),
    "Environment": (
        Word("slug", "string", True, "name in addresses"),
        Word("tier", "string", True, "prod, dr or staging; anything else reads as prod"),
        Word("perimeter", "string", True, "which law governs, AE-federal, AE-ADGM, SA, EU ...; or unknown"),
    ),
    "Promotion": (
        Word("action", "string", True, "promote, deploy, increase, rollback or run"),
        Word("strategy", "string", False, "canary, blue_green, shadow ...; empty when not given"),
        Word("weight", "int", False, "percent of the traffic"),
        Word("requested_by", "string", True, "actor id"),
    ),
    "Flow": (
        Word("kind", "string", True, "dataset, serving or inference_log"),
        Word("subject", "string", True, "dataset:<name> or environment:<slug>"),
        Word("region", "string", True, "provider:region, or nowhere when unknown or not confirmed"),
        Word("claimed_region", "string", False, "what somebody says the region is"),
        Word("country", "string", False, "ISO 3166 code of the region; empty when unknown"),
        Word("classification", "string", True, "none, personal, sensitive, special or unknown"),
        Word("personal", "bool", False, "true unless the classification is none"),
        Word("sensitive", "bool", False, "true for sensitive, special and unknown"),
        Word("data_subjects", "strings", False, "jurisdictions of the people in it, or unknown"),
        Word("path", "strings", False, "from the version to this subject", shown_only=True),
        Word(
            "perimeter", "string", True, "which law governs it, AE-ADGM, EU ...; or unknown", since=2, before="unknown"
        ),
    ),
    "Safeguard": (
        Word("id", "string", True, "reference of the transfer safeguard"),
        Word("type", "string", True, "SCC, BCR or ACCREDITATION_CERT"),
        Word("status", "string", True, "active, proposed or revoked"),
        Word("subjects", "strings", False, "subjects that it covers"),
        Word("regions", "strings", False, "provider:region that it covers"),
        Word("expires_at", "timestamp", False, "end; use has(...) first when it may be open"),
        Word("risk_assessment_at", "timestamp", False, "when the transfer risk assessment was made"),
        Word(
            "law",
            "string",
            True,
            "under whose law it was made, SA, AE-ADGM, EU ...; or unknown",
            since=3,
            before="unknown",
        ),
    ),
    "Data": (
        Word("personal", "bool", False, "any flow is personal"),
        Word("sensitive", "bool", False, "any flow is sensitive"),
        Word("data_subjects", "strings", False, "all jurisdictions of the people concerned"),
    ),
    "Evidence": (
        Word("id", "string", True, "reference of the evidence"),
        Word("type", "string", True, "validation_report, fairness, model_card ..."),
        Word("status", "string", True, "active or withdrawn"),
        Word("subject", "string", True, "version:<model>/<number>"),
        Word("digest", "string", True, "sha256:<64 hex> of the document"),
        Word("artifact_digest", "string", False, "digest of the version that it was made for; empty when unknown"),
        Word("environment", "string", False, "slug; empty when it is about every environment"),
        Word("issued_by", "string", True, "actor id of who recorded it"),
        Word("issued_at", "timestamp", True, "when it was issued"),
        Word("expires_at", "timestamp", False, "end; use has(...) first when it may be open"),
        Word(
            "signer",
            "string",
            True,
            "name of the key in force that signed it; empty when none did",
            absent_when_empty=True,
        ),
    ),
    "Explanation": (
        Word("id", "string", True, "explanation:<number>"),
        Word("subject", "string", True, "version:<model>/<number>"),
        Word("version_digest", "string", False, "digest of the files that were explained; empty when unknown"),
        Word("method", "string", True, "shap or lime"),
        Word("algorithm", "string", True, "which estimator: pair_perm, exact, tree, lime ..."),
        Word("level", "string", False, "quick, standard or audit; empty for those from before there were levels"),
        Word("scale", "string", True, "probability, log_odds or raw"),
        Word("standing", "string", True, "evidence, or draft when anything was wrong with it"),
        Word("fresh", "bool", False, "nothing that it rests on changed since"),
        Word("stale", "strings", False, "why it is not fresh: model, background, config"),
        Word("stable", "bool", False, "every row reached its tolerance (SHAP), its seeds agree and it fits (LIME)"),
        Word("erased", "bool", False, "rows of it were erased: nobody can run it again"),
        Word("rows", "int", False, "explained rows"),
        Word("background", "int", False, "rows that they were compared with"),
        Word("finished_at", "timestamp", True, "when it finished"),
        Word("environment", "string", True, "slug of the environment whose endpoint answered"),
        Word("receipt", "string", True, "sha256:<64 hex> of its receipt"),
    ),
}

#: Facts that no rule reads: the engine itself decides on them, so no pack can excuse what they say.
ENGINE_STRUCTS: dict[str, tuple[Word, ...]] = {
    "Incident": (
        Word("id", "string", True, "reference of the incident"),
        Word("title", "string", True, "what it is called"),
        Word("root", "string", True, "dataset:, run:, version:, model:, region: or library: that it is about"),
        Word("since", "timestamp", True, "from when on the root is unlawful"),
        Word("frozen_at", "timestamp", True, "when it was frozen"),
        Word("frozen_by", "string", True, "actor id of who froze it"),
        Word("path", "strings", True, "from the version to the root", shown_only=True),
    ),
    "Waiver": (
        Word("id", "string", True, "reference of the waiver"),
        Word("pack", "string", True, "pack whose rule is waived"),
        Word("pack_version", "int", True, "version of the pack: another text has to be waived anew"),
        Word("rule", "string", True, "id of the rule"),
        Word("version", "string", True, "version:<model>/<number> that it is for"),
        Word("environment", "string", True, "slug that it is for"),
        Word("subjects", "strings", True, "subjects of findings that it names"),
        Word("approved_by", "string", False, "actor id of the second person; empty while it is only proposed"),
        Word("starts_at", "timestamp", True, "from when on it counts"),
        Word("ends_at", "timestamp", True, "from when on it no longer counts"),
    ),
    "Emergency": (
        Word("id", "string", True, "reference of the emergency"),
        Word("version", "string", True, "version:<model>/<number> that it is for"),
        Word("environment", "string", True, "slug that it is for"),
        Word("subject_digest", "string", True, "what exactly it is for, as a sign-off"),
        Word("incident", "string", True, "reference of the incident behind it"),
        Word("invoked_by", "string", True, "actor id of the first person"),
        Word("confirmed_by", "string", True, "actor id of the second person"),
        Word("starts_at", "timestamp", True, "from when on it counts"),
        Word("ends_at", "timestamp", True, "from when on it no longer counts"),
    ),
    "Review": (
        Word("id", "string", True, "reference of the emergency that is to be reviewed"),
        Word("model", "string", True, "name of the model"),
        Word("version", "string", True, "version:<model>/<number> that went without signatures"),
        Word("environment", "string", True, "slug where it did"),
        Word("due_at", "timestamp", True, "from when on the missing review holds the model"),
        Word("review_by", "strings", True, "roles that may review it"),
    ),
}

#: Variable of a rule -> its struct. ``now`` (timestamp) and ``params`` (the pack's own) come on top.
VARIABLES: dict[str, str] = {
    "model": "Model",
    "version": "Version",
    "environment": "Environment",
    "promotion": "Promotion",
    "flow": "Flow",
    "safeguard": "Safeguard",
    "data": "Data",
    "evidence": "Evidence",
    "explanation": "Explanation",
}


def add_struct(file: descriptor_pb2.FileDescriptorProto, name: str, words: tuple[Word, ...]) -> None:
    """Declare one message in ``file``."""
    struct = file.message_type.add(name=name)
    for number, word in enumerate(words, start=1):
        if word.shown_only:
            continue
        repeated = word.kind == "strings"
        declared = struct.field.add(
            name=word.name,
            number=number,
            type=_TYPES[word.kind],
            label=_PROTO.LABEL_REPEATED if repeated else _PROTO.LABEL_OPTIONAL,
        )
        if word.kind == "timestamp":
            declared.type_name = ".google.protobuf.Timestamp"


def facts_file() -> descriptor_pb2.FileDescriptorProto:
    """The facts as a proto3 file, so that any pool can hold them beside a pack's parameters."""
    file = descriptor_pb2.FileDescriptorProto(
        name="countersign/facts.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    for name, words in STRUCTS.items():
        add_struct(file, name, words)
    return file


def new_pool(*files: descriptor_pb2.FileDescriptorProto) -> descriptor_pool.DescriptorPool:
    """A pool of its own, so that two packs may use the same parameter names with different types."""
    pool = descriptor_pool.DescriptorPool()
    timestamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
    pool.Add(timestamp)
    for file in files:
        pool.Add(file)
    return pool


_POOL = new_pool(facts_file())
_CLASSES: dict[str, type[Message]] = {
    name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in STRUCTS
}


def message_of(struct: str, values: Mapping[str, Any]) -> Message:
    """The message for one fact, from its JSON form. Times are RFC 3339 in UTC; an empty time stays unset."""
    message = _CLASSES[struct]()
    for word in STRUCTS[struct]:
        if word.shown_only:
            continue
        value = values.get(word.name, word.before) if word.since > 1 or word.absent_when_empty else values[word.name]
        if word.kind == "timestamp":
            if value:
                getattr(message, word.name).seconds = int(parse_time(cast("str", value)).timestamp())
        elif word.kind == "strings":
            getattr(message, word.name).extend(value)
        else:
            setattr(message, word.name, value)
    return message


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds. Raises ``ValueError`` for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """The inverse of ``format_time``; raises ``ValueError`` for any other spelling."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time such as 2026-11-22T09:00:00Z")
    return datetime.fromisoformat(text)
