"""The ML-BOM of a version: CycloneDX 1.6 (ECMA-424) as JSON, made of what the registry knows and of nothing else.

The same facts give the same bytes: no clock, no chance, no language; the serial number is derived from the content.
What is not known is said so: data sets or dependencies of which nobody said anything are a composition ``unknown``.
Names of people (owner, contacts, who trained) stay out: a file that has left cannot be erased.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.cards import Card
from registry.comparison import features_of
from registry.dependencies import Dependency
from registry.models import Dataset, ModelVersion

SPECIFICATION = "1.6"
MEDIA_TYPE = f"application/vnd.cyclonedx+json; version={SPECIFICATION}"
#: Namespace of the derived serial numbers (RFC 9562 section 5.5); any fixed UUID of ours would do.
_NAMESPACE = uuid.UUID("7d0f6f3a-6a42-5b7e-9a57-2f1c8f0c5d11")


def bom(card: Card, version: ModelVersion) -> bytes:
    """The document, as canonical JSON with a line feed at its end. ``card`` is the one of ``version``."""
    data = [_dataset(each.dataset) for each in card.data]
    needs = version.dependencies
    libraries = [_library(each) for each in needs or ()]
    ref = version.subject
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {"component": _model(card, version)},
        "components": [*data, *libraries],
        "dependencies": _dependencies(ref, [*_refs(data), *_refs(libraries)]),
        "compositions": [
            {
                "aggregate": "unknown" if needs is None or not card.data else "incomplete",
                "dependencies": [ref],
            }
        ],
        "properties": _properties(
            {
                "countersign:data-sets": "known" if card.data else "unknown",
                "countersign:dependencies": "unknown" if needs is None else "as registered, direct ones",
            }
        ),
    }
    told = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    serial = uuid.uuid5(_NAMESPACE, hashlib.sha256(told.encode()).hexdigest())
    document["serialNumber"] = f"urn:uuid:{serial}"
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def _model(card: Card, version: ModelVersion) -> dict[str, Any]:
    model = card.model
    facts = {
        "countersign:risk": model.risk,
        "countersign:risk-reason": model.risk_reason,
        "countersign:run": version.run_id,
        "countersign:source": version.source_uri,
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": version.subject,
        "name": model.name,
        "version": str(version.number),
        "description": model.purpose,
        "hashes": [_hash(version.digest)],
        "modelCard": _model_card(card, version),
        "properties": _properties(facts),
    }


def _model_card(card: Card, version: ModelVersion) -> dict[str, Any]:
    parameters: dict[str, Any] = {"datasets": [{"ref": each.dataset.subject} for each in card.data]}
    for side, key in (("inputs", "inputs"), ("outputs", "outputs")):
        named = features_of({"inputs": version.schema.get(side)})
        if named:
            parameters[key] = [{"format": f"{name}: {kind}"} for name, kind in named.items()]
    found: dict[str, Any] = {"modelParameters": parameters}
    if version.metrics:
        measured = [{"type": name, "value": str(value)} for name, value in sorted(version.metrics.items())]
        found["quantitativeAnalysis"] = {"performanceMetrics": measured}
    considered = {}
    if card.model.intended_use:
        considered["useCases"] = [card.model.intended_use]
    if card.model.limits:
        considered["technicalLimitations"] = [card.model.limits]
    if considered:
        found["considerations"] = considered
    logged = {
        f"countersign:parameter:{key}": str(value) for key, value in (card.run.params if card.run else {}).items()
    }
    if logged:
        found["properties"] = _properties(logged)
    return found


def _dataset(dataset: Dataset) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "dataset",
        "name": dataset.name,
        "classification": dataset.classification,
    }
    if dataset.provenance:
        described["description"] = dataset.provenance
    facts = {
        "countersign:digest": dataset.digest,
        "countersign:subjects": ",".join(dataset.subjects) or ("unknown" if dataset.is_personal else ""),
        "countersign:regions": ",".join(dataset.regions) or "unknown",
        "countersign:perimeter": dataset.perimeter or "unknown",
        "countersign:lawful-basis": dataset.lawful_basis or ("unknown" if dataset.is_personal else ""),
        "countersign:retention": dataset.retention or "unknown",
        "countersign:source": dataset.source_uri,
        "countersign:confirmed": ",".join(dataset.confirmed_facts) or "none",
    }
    found: dict[str, Any] = {
        "type": "data",
        "bom-ref": dataset.subject,
        "name": dataset.name,
        "data": [described],
        "properties": _properties(facts),
    }
    if dataset.digest:
        found["version"] = dataset.digest
    if dataset.digest.startswith("sha256:") and len(dataset.digest) == 71:
        found["hashes"] = [_hash(dataset.digest)]
    return found


def _library(one: Dependency) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"library:{one['name']}",
        "name": one["name"],
        "properties": _properties({"countersign:requirement": one["requirement"]}),
    }
    if one["version"]:
        found["version"] = one["version"]
        found["purl"] = f"pkg:pypi/{one['name']}@{one['version'].replace('+', '%2B').replace('!', '%21')}"
    if len(one["hashes"]) == 1:
        found["hashes"] = [_hash(one["hashes"][0])]
    else:  # several files of one release: which of them was installed is not known
        found["properties"] += [{"name": "countersign:allowed-hash", "value": each} for each in one["hashes"]]
    return found


def _dependencies(ref: str, needed: Sequence[str]) -> list[dict[str, Any]]:
    return [{"ref": ref, "dependsOn": sorted(needed)}, *({"ref": each} for each in sorted(needed))]


def _refs(components: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(each["bom-ref"]) for each in components]


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def _properties(facts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(facts.items()) if value]
