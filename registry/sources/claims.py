"""What tags of MLflow's runs and of OpenLineage's events claim about data sets.

A claim never relaxes what is known, and never fills in a default. A tag that is missing leaves the fact unknown; a tag
with a value that means nothing here makes the whole fact unknown, because the rest of a list would pass without the
part that was not understood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import BadInput
from registry import datasets, jurisdictions, naming, regions
from registry.lineage import edges
from registry.models import Classification, Dataset
from registry.sources.mlflow_client import tags_of

#: The stricter of two claims stands. Unknown is no claim at all.
STRICTNESS = ("unknown", "none", "personal", "special", "sensitive")


@dataclass(frozen=True, slots=True)
class Claim:
    """One data set as a run's tags describe it. ``None`` means: no tag; empty: a tag that cannot be relied on."""

    name: str
    digest: str
    source_uri: str
    classification: str | None
    subjects: list[str] | None
    regions: list[str] | None
    parents: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the data set may be called here: its name, or its name and digest."""
        return (self.name, f"{self.name}.{self.digest}") if self.digest else (self.name,)


def read(given: dict[str, Any]) -> Claim:
    """One item of MLflow's ``inputs.dataset_inputs``. Raises ``BadInput`` when its name cannot be a subject."""
    dataset, tags = given.get("dataset") or {}, tags_of(given.get("tags"))
    return described(
        str(dataset.get("name", "")),
        tags,
        digest=str(dataset.get("digest") or ""),
        source_uri=_source(str(dataset.get("source") or "")),
    )


def described(name: str, tags: Mapping[str, str], *, digest: str = "", source_uri: str = "") -> Claim:
    """What ``tags`` (classification, subjects, regions, parents) claim about the data set ``name``.

    Raises ``BadInput`` when its name or that of a parent cannot be a subject.
    """
    naming.name(name, field="dataset")
    problems: list[str] = []
    classification = tags.get("classification")
    if classification is not None:
        classification = _strictest(name, classification, problems)
    return Claim(
        name=name,
        digest=digest,
        source_uri=source_uri,
        classification=classification,
        subjects=_checked(name, tags.get("subjects"), _jurisdictions, problems),
        regions=_checked(name, tags.get("regions"), _regions, problems),
        parents=tuple(naming.name(parent, field="parents") for parent in _list(tags.get("parents", ""))),
        problems=tuple(problems),
    )


def settle(claim: Claim, named: Mapping[str, Dataset] | None = None, *, by: Actor) -> Dataset:
    """The stored data set of a claim, registered or made stricter by it, with its parents.

    Another digest under a known name is another data set, called ``<name>.<digest>``. What an operator confirmed stays.
    ``named``: the registered ones among the claim's ``names``, when the caller has read them in this transaction.
    """
    known = stored(claim) if named is None else among(claim, named)
    if known is None:
        known = datasets.register_dataset(
            _free_name(claim),
            classification=claim.classification or Classification.UNKNOWN,
            subjects=claim.subjects or [],
            regions_held=claim.regions or [],
            digest=claim.digest,
            source_uri=claim.source_uri,
            by=by,
        )
    elif not known.confirmed and (differs := _difference(claim, known)):
        known = datasets.change_dataset(known, **differs, reason=_("claimed by a later run"), by=by)
    for parent in claim.parents:
        edges.record_edge(_parent(parent, by), known, by=by)
    return known


def _parent(name: str, by: Actor) -> Dataset:
    parent = Dataset.objects.filter(name=name).first()
    return parent or datasets.register_dataset(
        name, classification=Classification.UNKNOWN, subjects=[], regions_held=[], by=by
    )


def stored(claim: Claim) -> Dataset | None:
    """The data set of a claim when it is registered. One query."""
    return among(claim, {each.name: each for each in Dataset.objects.filter(name__in=claim.names)})


def among(claim: Claim, named: Mapping[str, Dataset]) -> Dataset | None:
    """The data set of a claim among ``named``: the same name, and the same digest where both have one."""
    found = named.get(claim.name)
    if found is None or not claim.digest or found.digest in ("", claim.digest):
        return found
    return named.get(f"{claim.name}.{claim.digest}")


def _free_name(claim: Claim) -> str:
    taken = Dataset.objects.filter(name=claim.name).exists()
    return naming.name(f"{claim.name}.{claim.digest}" if taken else claim.name, field="dataset")


def _strictest(name: str, text: str, problems: list[str]) -> str:
    """The strictest of a list, which is most often one word; unknown when any is not understood."""
    said = _list(text)
    if not said or set(said) - set(Classification.values):
        sentence = _("%(name)s: the classification “%(value)s” is not known here.")
        problems.append(sentence % {"name": name, "value": text[:40]})
        return str(Classification.UNKNOWN)
    return str(Classification.UNKNOWN) if Classification.UNKNOWN in said else max(said, key=STRICTNESS.index)


def _difference(claim: Claim, known: Dataset) -> dict[str, Any]:
    """What the claim adds to the facts of ``known``: most runs say what the run before has said."""
    wanted = {
        "classification": _stricter(known.classification, claim.classification),
        "subjects": _joined(known.subjects, claim.subjects),
        "regions_held": _joined(known.regions, claim.regions),
    }
    was = {"classification": known.classification, "subjects": known.subjects, "regions_held": known.regions}
    return {fact: value for fact, value in wanted.items() if value is not None and value != was[fact]}


def _stricter(known: str, claimed: str | None) -> str | None:
    if claimed is None or claimed == known:
        return None
    if claimed == Classification.UNKNOWN:
        return claimed
    return max(known, claimed, key=STRICTNESS.index)


def _joined(known: list[str], claimed: list[str] | None) -> list[str] | None:
    if claimed is None:
        return None
    return [*known, *(each for each in claimed if each not in known)] if claimed else []


def _jurisdictions(codes: list[str]) -> list[str]:
    return jurisdictions.known(codes, field="subjects")


def _regions(ids: list[str]) -> list[str]:
    return [region.id for region in regions.lookup_all(ids, field="regions")]


def _checked(
    name: str, text: str | None, check: Callable[[list[str]], list[str]], problems: list[str]
) -> list[str] | None:
    if text is None:
        return None
    try:
        return check(_list(text))
    except BadInput as refusal:
        problems.append(f"{name}: {refusal.sentence}")
        return []


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _source(text: str) -> str:
    try:
        source = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(source, dict):
        return ""
    return str(source.get("uri") or source.get("url") or source.get("path") or "").replace("\x00", "")
