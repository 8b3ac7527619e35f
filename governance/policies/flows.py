"""From lineage to flows: every data set that a version ever learned from, where it serves, where its logs, its backups
and the workers that explain it lie, and from where people look at it.

The closure and its loops are walked here, in the host, so that each expression of a rule stays tiny and no large
lineage can exhaust the engine's iteration budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from governance.policies.facts import FlowFact
from governance.policies.vocabulary import UNKNOWN


@dataclass(frozen=True, slots=True)
class Region:
    """One ``provider:region``. ``confirmed``: generally available, or vouched for by an operator."""

    id: str
    country: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class DataSetFact:
    """A data set of the registry. Empty ``regions``, ``data_subjects`` or ``perimeter`` mean that nobody knows."""

    subject: str
    classification: str = UNKNOWN
    regions: Sequence[Region] = ()
    data_subjects: Sequence[str] = ()
    perimeter: str = ""


@dataclass(frozen=True, slots=True)
class PlaceFact:
    """Where live data go: ``kind`` is one of the facts' ``FLOW_KINDS`` but ``dataset``, ``subject`` the environment.

    For ``support_access`` the region is ``country:XX``: whoever looks at data from there has had them brought there.
    ``perimeter`` is that of the environment: whoever serves there answers under that law for what comes in.
    """

    kind: str
    subject: str
    region: Region
    perimeter: str = ""


def ancestors(root: str, parents: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Every subject upstream of ``root`` with one shortest path to it, ``root`` first; a cycle ends where it began.

    ``parents`` maps a subject to what it was made from. Paths are the same in every run: ties go to the name.
    """
    paths: dict[str, tuple[str, ...]] = {root: (root,)}
    queue = deque([root])
    while queue:
        here = queue.popleft()
        for parent in sorted(parents.get(here, ())):
            if parent not in paths:
                paths[parent] = (*paths[here], parent)
                queue.append(parent)
    return paths


def flows_of(
    *,
    version: str,
    parents: Mapping[str, Sequence[str]],
    data_sets: Mapping[str, DataSetFact],
    places: Iterable[PlaceFact],
) -> tuple[FlowFact, ...]:
    """All flows of a version: one for each region of each data set upstream, one for each place.

    Fails closed: a data set of the lineage that ``data_sets`` does not know is an unknown one; a version without any
    data set upstream has unknown data, so what it serves counts as sensitive personal data of unknown people. What is
    served, logged, backed up, looked at and explained is as personal as the data it was trained on, and about the same
    people.
    """
    closure = ancestors(version, parents)
    upstream = [(subject, path) for subject, path in closure.items() if subject.startswith("dataset:")]
    known = [data_sets.get(subject, DataSetFact(subject)) for subject, _ in upstream]
    flows = [
        FlowFact(
            kind="dataset",
            subject=subject,
            region=region.id,
            country=region.country,
            confirmed=region.confirmed,
            classification=data_set.classification,
            data_subjects=data_set.data_subjects,
            path=path,
            perimeter=data_set.perimeter,
        )
        for (subject, path), data_set in zip(upstream, known, strict=True)
        for region in (data_set.regions or (Region(""),))
    ]
    classification, people = together(known)
    flows.extend(
        FlowFact(
            kind=place.kind,
            subject=place.subject,
            region=place.region.id,
            country=place.region.country,
            confirmed=place.region.confirmed,
            classification=classification,
            data_subjects=people,
            path=(version, place.subject),
            perimeter=place.perimeter,
        )
        for place in places
    )
    return tuple(flows)


def together(data_sets: Sequence[DataSetFact]) -> tuple[str, tuple[str, ...]]:
    """The strictest classification, and everybody concerned."""
    strictest = ("none", "personal", "sensitive", "special")
    found = {data_set.classification for data_set in data_sets}
    classification = UNKNOWN
    if found and found <= set(strictest):
        classification = max(found, key=strictest.index)
    people: set[str] = set()
    for data_set in data_sets:
        if data_set.classification != "none":
            people.update(data_set.data_subjects or (UNKNOWN,))
    return classification, tuple(sorted(people))
