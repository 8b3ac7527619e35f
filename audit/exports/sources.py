"""Documents that belong to entries but lie in other apps: policy texts, decisions, sign-offs, results.

``audit`` knows no other app. Each registers a function in its ``AppConfig.ready()``; it is called while a bundle is
written and yields what it has about the exported entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are exported: their ``object_key``s (``<table>/<id>``); None stands for every row there is."""

    objects: frozenset[str] | None

    def ids(self, table: str) -> list[int] | None:
        """The ids of one table's wanted rows, in order; None: all of them."""
        if self.objects is None:
            return None
        found = (key.partition("/")[2] for key in self.objects if key.startswith(table + "/"))
        return sorted(int(number) for number in found if number.isdigit())


@dataclass(frozen=True, slots=True)
class Document:
    """``kind`` is its folder in the bundle, ``suffix`` the end of its name. Its name is the digest of its content."""

    kind: str
    content: bytes
    suffix: str = "json"

    @property
    def path(self) -> str:
        """``documents/<kind>/sha256-<digest>.<suffix>``."""
        return f"documents/{self.kind}/sha256-{hashlib.sha256(self.content).hexdigest()}.{self.suffix}"


Source = Callable[[Wanted], Iterator[Document]]

_registered: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Let ``source`` give documents to every bundle. The same name again replaces it (reloads of an app)."""
    _registered[name] = source


def documents(wanted: Wanted) -> Iterator[Document]:
    """What all sources have, by their names' order; the order within a source is the source's."""
    for name in sorted(_registered):
        yield from _registered[name](wanted)
