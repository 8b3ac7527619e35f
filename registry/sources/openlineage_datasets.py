"""The data sets that events of OpenLineage name, registered or made stricter by claims, under all their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from audit.actors import Actor
from registry.lineage.graph import Edge
from registry.models import Dataset, OpenLineageEvent, OpenLineageName
from registry.sources import claims
from registry.sources.openlineage_events import Identity, Mention
from registry.sources.openlineage_names import OWN, key_of, name_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """Subjects of one mention: the data set, its version (empty when none was named), and the edges between its names.

    A version comes from its data set, so whoever read the version has both upstream.
    """

    dataset: str
    version: str
    same: frozenset[Edge]

    def read_by(self, run: str) -> set[Edge]:
        """Edges of a run that read it."""
        return {Edge(self.version or self.dataset, run, "input"), *self.same}

    def written_by(self, run: str) -> set[Edge]:
        """Whoever reads the data set later without a version gets what was written as one: both were written."""
        return {Edge(run, end, "wrote") for end in {self.dataset, self.version} - {""}} | self.same


@dataclass(slots=True)
class Recorder:
    """Records the data sets of events that ``by`` sent; ``event`` is the one that the record names.

    ``problems`` collects sentences about claims that mean nothing here.
    """

    event: OpenLineageEvent
    by: Actor
    problems: list[str] = field(default_factory=list)
    _known: dict[str, Dataset] = field(default_factory=dict)
    _called: dict[str, str] = field(default_factory=dict)

    def look_up(self, mentions: Iterable[Mention]) -> None:
        """Fetch what is known of all these at once. Two queries."""
        identities = {identity for mention in mentions for identity in _identities(mention)}
        names, keys = [name_of(each) for each in identities], [key_of(each) for each in identities]
        self._known |= {each.name: each for each in Dataset.objects.filter(name__in=names)}
        self._called |= dict(OpenLineageName.objects.filter(key__in=keys).values_list("key", "dataset_name"))

    def record(self, mention: Mention) -> Recorded:
        """Register or make stricter what the mention names. Raises ``Refusal``, and ``ValueError`` when two data sets
        would share a name."""
        identity = mention.identity
        base = self._dataset(Identity(identity.namespace, identity.name), mention)
        found: set[Edge] = set()
        for other in mention.symlinks:
            same = self._dataset(other, mention)
            if same.subject != base.subject:
                found |= {Edge(base.subject, same.subject, "same"), Edge(same.subject, base.subject, "same")}
        if not identity.version:
            return Recorded(base.subject, "", frozenset(found))
        version = self._dataset(identity, mention, base)
        found.add(Edge(base.subject, version.subject, "derived"))
        return Recorded(base.subject, version.subject, frozenset(found))

    def _dataset(self, identity: Identity, mention: Mention, table: Dataset | None = None) -> Dataset:
        """The data set of ``identity``; a new version takes the facts of its ``table`` as claims."""
        name = name_of(identity)
        known = self._known.get(name)
        if known is None or (mention.tags and not known.confirmed):
            tags = dict(mention.tags)
            if known is None and table is not None:
                tags = _inherited(table) | tags
            address = f"{identity.namespace.rstrip('/')}/{identity.name.lstrip('/')}"
            claim = claims.described(name, tags, digest=identity.version[:128], source_uri=address[:1000])
            self.problems += claim.problems
            known = self._known[name] = claims.settle(claim, by=self.by)
        if not (identity.namespace == OWN and known.name == identity.name):
            self._remember(identity, known)
        return known

    def _remember(self, identity: Identity, dataset: Dataset) -> None:
        """Keep what the producer calls it."""
        key = key_of(identity)
        if key not in self._called:
            given = {"digest": self.event.digest, "producer": self.event.producer, "dataset_name": dataset.name}
            given |= {"namespace": identity.namespace, "name": identity.name, "version": identity.version}
            stored, _new = OpenLineageName.objects.get_or_create(key=key, defaults=given)
            self._called[key] = stored.dataset_name
        if self._called[key] != dataset.name:
            raise ValueError(f"{self._called[key]} and {dataset.name} are one data set")


def _identities(mention: Mention) -> Iterator[Identity]:
    identity = mention.identity
    yield Identity(identity.namespace, identity.name)
    yield identity
    yield from mention.symlinks
    yield from mention.columns_of


def _inherited(table: Dataset) -> dict[str, str]:
    """What is known of a table, as tags; what is unknown is no tag."""
    tags = {"subjects": ",".join(table.subjects), "regions": ",".join(table.regions)}
    tags["classification"] = table.classification
    return {name: value for name, value in tags.items() if value}
