"""What many cases have in common, read once: a thousand running deployments are decided in a few queries.

``governance.facts`` asks here before it asks the database. What it reads without asking here is read for each case as
ever: slower, never different. Only the cases that were named may be decided meanwhile, and only within one moment.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from django.db.models import Q
from django.utils.translation import gettext as _

from explain import standing as explaining
from governance import policies
from governance.models.evidence import Evidence
from governance.models.transfer import TransferSafeguard
from governance.models.user import User
from governance.models.waiver import Waiver, WaiverState
from registry import queries as registry_queries
from registry.incidents import counting
from registry.models import Dataset, Incident, ModelVersion

T = TypeVar("T")
Alter = Callable[[TransferSafeguard], TransferSafeguard | None]


@dataclass(frozen=True)
class Shared:
    """What was read: ``parents`` of every subject upstream of the cases' versions, every data set among them, every
    safeguard, the accounts of who asks or trained, and every waiver and all evidence for the cases' ``versions``.
    ``kept`` holds what ``once`` was asked for.
    """

    parents: Mapping[str, Sequence[str]]
    data_sets: Mapping[str, Dataset]
    safeguards: tuple[TransferSafeguard, ...]
    users: tuple[User, ...]
    waivers: tuple[Waiver, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    versions: frozenset[int] = frozenset()
    kept: dict[str, Any] = field(default_factory=dict)

    def parents_of(self, version: str) -> dict[str, list[str]]:
        """The part of ``parents`` that lies upstream of ``version``. Raises ``policies.MissingFact`` when it is deeper
        than a closure may be."""
        found: dict[str, list[str]] = {}
        depth, queue = {version: 0}, deque([version])
        while queue:
            here = queue.popleft()
            for parent in self.parents.get(here, ()):
                found.setdefault(here, []).append(parent)
                if parent not in depth:
                    depth[parent] = depth[here] + 1
                    queue.append(parent)
        if max(depth.values()) > registry_queries.MAX_DEPTH:
            sentence = _("The lineage of %(focus)s is deeper than %(limit)d steps.") % {
                "focus": version,
                "limit": registry_queries.MAX_DEPTH,
            }
            raise policies.MissingFact("lineage", version, sentence)
        return found

    def covering(self, subjects: Iterable[str]) -> list[TransferSafeguard]:
        """The safeguards that name one of ``subjects``."""
        wanted = set(subjects)
        return [row for row in self.safeguards if not wanted.isdisjoint(row.subjects)]

    def waivers_of(self, version_id: int, environment_id: int) -> list[Waiver]:
        """Those for one version in one environment that nobody revoked."""
        rows = (row for row in self.waivers if (row.version_id, row.environment_id) == (version_id, environment_id))
        return [row for row in rows if row.state != WaiverState.REVOKED]

    def evidence_of(self, version_id: int, environment_id: int) -> list[Evidence]:
        """What is on record about the version, for every environment or for this one."""
        return self._by_version.get((version_id, None), []) + self._by_version.get((version_id, environment_id), [])

    @cached_property
    def _by_version(self) -> dict[tuple[int, int | None], list[Evidence]]:
        found: dict[tuple[int, int | None], list[Evidence]] = {}
        for row in self.evidence:
            found.setdefault((row.version_id, row.environment_id), []).append(row)
        return found

    def explanations_of(self, version_id: int) -> list[explaining.Explained]:
        """The newest finished explanations of the version, from one reading for all of them."""
        if "explanations" not in self.kept:
            self.kept["explanations"] = explaining.newest(self.versions)
        rows: list[explaining.Explained] = self.kept["explanations"]
        return [row for row in rows if row.version_id == version_id]

    def people(self, uuids: Iterable[str], usernames: Iterable[str]) -> list[User]:
        """The accounts with these identifiers or names."""
        ids, names = set(uuids), set(usernames)
        return [user for user in self.users if str(user.uuid) in ids or user.username in names]

    def incidents(self, version: str) -> list[Incident]:
        """``registry.incidents.counting`` of one version, from one reading for all of them."""
        rows: list[Incident] = self.kept.setdefault("incidents", list(counting("").defer(None)))
        found = []
        for row in rows:
            one = copy.copy(row)
            one.listed = version in row.held  # type: ignore[attr-defined]  # the annotation of ``counting``
            found.append(one)
        return found

    def without_waiver(self, reference: str) -> Shared:
        """The same as if the waiver were not there."""
        return replace(self, waivers=tuple(row for row in self.waivers if row.reference != reference))

    def altered(self, alter: Alter) -> Shared:
        """The same with other safeguards: what would be decided if. ``alter`` gives None for one that is not there."""
        rows = (alter(copy.copy(row)) for row in self.safeguards)
        return replace(self, safeguards=tuple(row for row in rows if row is not None))


_current: ContextVar[Shared | None] = ContextVar("shared facts", default=None)


def current() -> Shared | None:
    """What is shared now; None when every case is read by itself."""
    return _current.get()


def once(name: str, read: Callable[[], T]) -> T:
    """``read()``, at most once while something is shared."""
    shared = _current.get()
    if shared is None:
        return read()
    if name not in shared.kept:
        shared.kept[name] = read()
    value: T = shared.kept[name]
    return value


@contextmanager
def using(shared: Shared) -> Iterator[None]:
    """Decide on what was read."""
    token = _current.set(shared)
    try:
        yield
    finally:
        _current.reset(token)


def read(versions: Iterable[ModelVersion], actors: Iterable[str]) -> Shared:
    """Read what cases about ``versions``, asked for by ``actors`` (their ids), share. Five queries."""
    listed = list(versions)
    parents: dict[str, list[str]] = {}
    if subjects := sorted({version.subject for version in listed}):
        # one root more than there are: how deep each lies is looked at in ``parents_of``, not over all of them here
        edges = registry_queries.edges_from([*subjects, subjects[0]], "upstream")
        for edge in edges:
            parents.setdefault(edge.target, []).append(edge.source)
    names = {
        subject.removeprefix("dataset:")
        for sources in parents.values()
        for subject in sources
        if subject.startswith("dataset:")
    }
    trained = {name.lower() for version in listed for name in version.contributors}
    waivers = tuple(Waiver.objects.filter(version__in={version.pk for version in listed}).order_by("pk"))
    acted = {*actors, *(row.approved_by for row in waivers)}
    uuids = [actor.partition(":")[2] for actor in acted if actor.startswith(("user:", "service:"))]
    return Shared(
        parents=parents,
        data_sets={row.subject: row for row in Dataset.objects.filter(name__in=names)},
        safeguards=tuple(TransferSafeguard.objects.defer("assessment", "revoked_reason")),
        users=tuple(User.objects.filter(Q(uuid__in=uuids) | Q(username__in=trained))),
        waivers=waivers,
        evidence=tuple(Evidence.objects.signers().filter(version__in={version.pk for version in listed})),
        versions=frozenset(version.pk for version in listed),
    )
