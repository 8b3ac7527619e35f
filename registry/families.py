"""Which data sets are versions of one another, by their names and digests. Nothing is stored: the rule is the record.

A source that reports another digest under a known name is registered as ``<name>.<digest>`` (``registry.sources``), so
whatever is called that and has that digest is a version of ``<name>``. The rule cannot disagree with the rows, and it
holds for those that were registered before anybody asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from registry.models import Dataset

#: Versions that a page lists.
MOST = 50


def root_of(name: str, digest: str) -> str:
    """The name of the data set that ``name`` with this digest would be a version of; itself when of none. Pure."""
    ending = f".{digest}"
    return name.removesuffix(ending) if digest and name != ending and name.endswith(ending) else name


def root(dataset: Dataset) -> str:
    """``root_of`` a row, when the registry has that name; one query when it could have."""
    name = root_of(dataset.name, dataset.digest)
    if name != dataset.name and not Dataset.objects.filter(name=name).exists():
        return dataset.name
    return name


def roots(datasets: Iterable[Dataset]) -> dict[str, str]:
    """Name -> name of what it is a version of, for those that are a version of another. One query at most."""
    asked = {each.name: root_of(each.name, each.digest) for each in datasets}
    wanted = {name for each, name in asked.items() if name != each}
    known = set(Dataset.objects.filter(name__in=wanted).values_list("name", flat=True)) if wanted else set()
    return {each: name for each, name in asked.items() if name != each and name in known}


def versions_of(name: str) -> list[Dataset]:
    """The data set called ``name`` and its versions, newest first, at most ``MOST``; one query."""
    mine = Q(name__startswith=f"{name}.", name=Concat(Value(f"{name}."), F("digest"))) & ~Q(digest="")
    return list(Dataset.objects.filter(Q(name=name) | mine).order_by("-id")[:MOST])
