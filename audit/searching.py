"""How the log is searched: which index is walked, how far, and how many entries match.

A page costs the same in a log of a thousand entries and of a million, whatever is asked for: each value that can be
searched has an index that ends with the entry's number, and one search reads at most ``SCAN`` rows of one of them. When
that was not enough (two common values that hardly ever meet), the page says how far it looked and where to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.models.events import Event

#: Rows of an index that one search reads, and the largest number that a page counts.
SCAN = 10_000
#: Clocks of writers and the order of the log differ by as many entries as were under way together.
_UNDER_WAY = 100
_LAST = 2**62

Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Filters:
    """What to search for; empty means any. A ``subject`` that ends with ``*`` matches all that begin with it.

    ``event`` is an event or a family, ``promotion.*``; ``without`` leaves a family out, named without its star.
    ``model`` and ``environment`` are names: they find everything about the model's versions, aliases, promotions,
    deployments, decisions and explanations. A period begins with the entry after the last one recorded before
    ``since`` and ends with the last one recorded before ``until``: consecutive periods share no entry and miss none.
    ``through`` is the index of the last entry to look at; ``log_id`` another log than the one in use.
    """

    actor: str = ""
    event: str = ""
    without: str = ""
    subject: str = ""
    model: str = ""
    environment: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    through: int | None = None
    log_id: int = 0

    @property
    def events(self) -> tuple[str, ...]:
        """The events that are searched for; a family is all of its events that this program knows."""
        if self.event.endswith(".*"):
            return tuple(event.value for event in Event if event.value.startswith(self.event[:-1])) or (self.event,)
        return (self.event,) if self.event else ()


@dataclass(frozen=True, slots=True)
class Counted:
    """How many entries match. When not ``exact``, at least so many do."""

    entries: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """Indexes of entries in the order walked. ``edge``: the search ended there with more to look at."""

    indexes: list[int]
    edge: int | None = None


@dataclass(frozen=True, slots=True)
class _Facet:
    """A column of the read model and the values that it may have."""

    column: str
    values: tuple[str, ...]

    @property
    def condition(self) -> str:
        return f"v.{self.column} = ANY(%s)"


class Search:
    """One search in one log. The index to walk is chosen once, for all that is asked of the search."""

    def __init__(self, filters: Filters, log: int, fetch: Fetch) -> None:
        self.filters, self.log, self._fetch = filters, log, fetch
        self.low, self.high = self._bounds() if filters.since or filters.until else (0, _LAST)
        if filters.through is not None:
            self.high = min(self.high, filters.through)
        named = {
            "request_id": (filters.request_id,),
            "subject": () if filters.subject.endswith("*") else (filters.subject,),
            "actor_id": (filters.actor,),
            "model": (filters.model,),
            "environment": (filters.environment,),
            "event": filters.events,
        }
        self._facets = [_Facet(column, values) for column, values in named.items() if any(values)]
        self._prefix = filters.subject[:-1] if filters.subject.endswith("*") else ""
        self._chosen: tuple[_Facet | str | None, int] | None = None

    @property
    def may_end_early(self) -> bool:
        """Whether more is asked than one index answers, so that a walk reads rows that do not match."""
        return bool(self._rest()[0])

    def walk(self, *, below: int | None = None, above: int | None = None, limit: int) -> Found:
        """Up to ``limit`` matches, downwards from the end or from ``below``, or upwards from ``above``."""
        upwards = above is not None
        low = self.low if above is None else max(self.low, above + 1)
        high = self.high if below is None else min(self.high, below - 1)
        sql, values = self.statement(low, high, limit, upwards=upwards)
        found = [int(row[0]) for row in self._fetch(sql, values)]
        edge = self._edge(low, high, upwards=upwards) if self._rest()[0] and len(found) < limit else None
        if edge is None:
            return Found(found)
        return Found([each for each in found if (each <= edge if upwards else each >= edge)], edge)

    def statement(self, low: int, high: int, limit: int, *, upwards: bool = False) -> tuple[str, list[Any]]:
        """SQL and values of one walk: a column of indexes between ``low`` and ``high``, both included."""
        where, values = self._rest()
        ordered = not where and not isinstance(self._walked(), str)
        scan, told = self._index(
            self._walked(), low, high, limit if ordered else SCAN, upwards=upwards, whole=bool(where)
        )
        order = "ASC" if upwards else "DESC"
        sql = f"SELECT v.leaf_index FROM ({scan}) AS v{where} ORDER BY v.leaf_index {order} LIMIT %s"  # noqa: S608
        return sql, [*told, *values, limit]

    def count(self, *, exact: bool = False) -> Counted:
        """How many entries match: always exact up to ``SCAN``, and beyond it when ``exact`` is asked for."""
        if self.high < self.low:
            return Counted(0)
        where, values = self._rest()
        driver, size = self._driver()
        if not where and driver is None:
            end = self._fetch("SELECT max(leaf_index) FROM audit.event WHERE log_id = %s", [self.log])[0][0]
            return Counted(max(0, min(self.high, -1 if end is None else int(end)) - self.low + 1))
        if not where and not exact and isinstance(driver, _Facet):
            return Counted(min(size, SCAN), size <= SCAN)
        bound = _LAST if exact else SCAN
        scan, told = self._index(driver, self.low, self.high, bound, upwards=False, whole=bool(where))
        counted = int(self._fetch(f"SELECT count(*) FROM ({scan}) AS v{where}", [*told, *values])[0][0])  # noqa: S608
        return Counted(counted, exact or size <= SCAN)

    def _bounds(self) -> tuple[int, int]:
        since, until = self.filters.since, self.filters.until
        parts = [_LAST_BEFORE if moment else "-1" for moment in (since, until)]
        values = [told for moment in (since, until) if moment for told in (self.log, moment, _UNDER_WAY)]
        before, ended = self._fetch(f"SELECT {', '.join(parts)}", values)[0]
        return int(before) + 1, int(ended) if until else _LAST

    def _driver(self) -> tuple[_Facet | str | None, int]:
        """What is walked (a facet, a prefix or the log itself), and how many rows that has, counted to ``SCAN`` + 1."""
        if self._chosen is None:
            every = min(self.high - self.low + 1, SCAN + 1)
            sizes = self._sizes()
            usable: list[tuple[_Facet | str | None, int]] = [
                (driver, size) for driver, size in sizes if isinstance(driver, _Facet) or size <= SCAN
            ]
            if every <= SCAN or not usable:
                usable.append((None, every))
            self._chosen = min(usable, key=lambda pair: pair[1])
        return self._chosen

    def _sizes(self) -> list[tuple[_Facet | str, int]]:
        drivers: list[_Facet | str] = [*self._facets, *([self._prefix] if self._prefix else [])]
        if not drivers:
            return []
        parts, values = [], []
        for driver in drivers:
            low, high = (self.low, self.high) if isinstance(driver, _Facet) else (0, _LAST)
            scan, told = self._index(driver, low, high, SCAN + 1, upwards=False, whole=False)
            parts.append(f"(SELECT count(*) FROM ({scan}) AS counted)")  # noqa: S608  constants only
            values += told
        counted = self._fetch(f"SELECT {', '.join(parts)}", values)[0]
        return list(zip(drivers, map(int, counted), strict=True))

    def _walked(self) -> _Facet | str | None:
        """The driver; a single facet needs no choice, so its rows are not counted for a page alone."""
        if self._chosen is None and len(self._facets) == 1 and not self._prefix:
            return self._facets[0]
        return self._driver()[0]

    def _rest(self) -> tuple[str, list[Any]]:
        """The conditions that the walked index does not answer."""
        walked = self._walked()
        conditions: list[str] = []
        values: list[Any] = []
        for facet in self._facets:
            if facet is not walked:
                conditions.append(facet.condition)
                values.append(list(facet.values))
        if self._prefix and walked != self._prefix:
            conditions.append("starts_with(v.subject, %s)")
            values.append(self._prefix)
        if self.filters.without:
            conditions.append("NOT starts_with(v.event, %s)")
            values.append(self.filters.without + ".")
        return (" WHERE " + " AND ".join(conditions), values) if conditions else ("", [])

    def _index(
        self, driver: _Facet | str | None, low: int, high: int, limit: int, *, upwards: bool, whole: bool
    ) -> tuple[str, list[Any]]:
        """A walk along one index, at most ``limit`` rows for each value; ``whole`` reads the rows themselves."""
        columns = f"v.{', v.'.join(_SEARCHED)}" if whole else "v.leaf_index"
        order = "ASC" if upwards else "DESC"
        head = f"SELECT {columns} FROM audit.event v WHERE v.log_id = %s"  # noqa: S608
        if driver is None:
            sql = f"{head} AND v.leaf_index BETWEEN %s AND %s ORDER BY v.leaf_index {order} LIMIT %s"
            return sql, [self.log, low, high, limit]
        if isinstance(driver, str):
            sql = f"{head} AND v.subject >= %s AND v.subject < %s AND v.leaf_index BETWEEN %s AND %s"
            sql += f" ORDER BY v.subject {order}, v.leaf_index {order} LIMIT %s"
            return sql, [self.log, driver, driver + "\U0010ffff", low, high, limit]
        # (value, index) as one range, and the order named in full: only the column's own index can answer that, so the
        # planner cannot walk the whole log in the hope of meeting a value that was common a million entries ago.
        key = f"(v.{driver.column}, v.leaf_index)"
        sql = f"{head} AND v.{driver.column} <> '' AND {key} >= (%s, %s) AND {key} <= (%s, %s)"
        sql += f" ORDER BY v.{driver.column} {order}, v.leaf_index {order} LIMIT %s"
        walks = " UNION ALL ".join(f"({sql})" for _value in driver.values)
        return walks, [told for value in driver.values for told in (self.log, value, low, value, high, limit)]

    def _edge(self, low: int, high: int, *, upwards: bool) -> int | None:
        """Where a walk of ``SCAN`` rows ended; None when it came to its end. For several values the nearest end."""
        walked = self._walked()
        if isinstance(walked, str):  # chosen only when it is read whole
            return None
        drivers: list[_Facet | None] = [walked]
        if isinstance(walked, _Facet):
            drivers = [_Facet(walked.column, (value,)) for value in walked.values]
        edges = []
        for driver in drivers:
            scan, told = self._index(driver, low, high, 1, upwards=upwards, whole=False)
            edges += self._fetch(f"{scan.removeprefix('(').removesuffix(')')} OFFSET %s", [*told, SCAN - 1])
        ends = [int(row[0]) for row in edges]
        if not ends:
            return None
        return min(ends) if upwards else max(ends)


_SEARCHED = ("leaf_index", "event", "actor_id", "subject", "model", "environment", "request_id")
_LAST_BEFORE = """(SELECT coalesce(max(leaf_index), -1) FROM (
    SELECT leaf_index FROM audit.event WHERE log_id = %s AND recorded_at < %s
    ORDER BY recorded_at DESC, leaf_index DESC LIMIT %s) AS near)"""
_LAST_BY = _LAST_BEFORE.replace("<", "<=")


def last_by(fetch: Fetch, log: int, moment: datetime) -> int:
    """The index of the last entry that was recorded by ``moment``; -1 when there is none. One query."""
    return int(fetch(f"SELECT {_LAST_BY}", [log, moment, _UNDER_WAY])[0][0])
