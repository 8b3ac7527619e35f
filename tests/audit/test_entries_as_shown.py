"""The quick comparison of a whole tile calls nothing equal that the rule for one row calls different."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson
import pytest

from audit.merkle import canonical
from audit.projection import project
from audit.verification.shown import as_shown, check

_ENTRY: dict[str, Any] = {
    "actor": {"id": "user:ana", "kind": "user", "roles": ["ml_lead"]},
    "at": "2026-01-02T03:04:05.000006Z",
    "commit": {"actor.name": "00" * 32},
    "event": "deployment.recorded",
    "facts": {"environment": "production", "note": "Grüße", "number": 7, "old": None, "set": [1, {"deep": True}]},
    "object": "deployment/1",
    "request": "r1",
    "subject": "version:credit/3",
    "v": 1,
}


def _row(index: int, data: bytes, event_id: str) -> tuple[Any, ...]:
    """As the sequencer would have left it: the projection of the very bytes."""
    told = project(data, "deployment/1")
    texts = (told.event, told.actor_id, told.subject, told.request_id, told.model, told.environment)
    at = told.occurred_at.astimezone(UTC).replace(tzinfo=None)
    return (index, sha256(b"\x00" + data).digest(), data, event_id, "deployment/1", at, *texts, True)


def _rows(**changes: Any) -> list[tuple[Any, ...]]:
    """Three entries from #256 on; the second one is changed."""
    entries = [_ENTRY | {"id": f"id-{number}"} for number in range(3)]
    entries[1] |= changes
    data = [orjson.dumps(entry, None, orjson.OPT_SORT_KEYS) for entry in entries]
    return [_row(256 + number, each, f"id-{number}") for number, each in enumerate(data)]


def test_a_tile_as_it_should_be_gives_the_same_as_its_rows_one_by_one() -> None:
    rows = _rows(subject="environment:production", facts={})
    found = as_shown(rows, 256)
    assert found is not None
    problems: list[Any] = []
    single = [check(row, problems) for row in rows]
    assert not problems
    assert found == ([hashed for hashed, _ in single], {k: v for _, promised in single for k, v in promised.items()})


@pytest.mark.parametrize("column", range(13))
def test_no_column_can_differ_unseen(column: int) -> None:
    rows = _rows()
    other = {0: 300, 1: bytes(32), 2: None, 5: datetime(2026, 1, 1), 12: False}.get(column, "another")
    rows[1] = (*rows[1][:column], other, *rows[1][column + 1 :])
    assert as_shown(rows, 256) is None
    if column:
        problems: list[Any] = []
        check(rows[1], problems)
        assert problems
    assert as_shown([(*row[:12], None) for row in _rows()], 256) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "2026-01-02T03:04:05.000006X"},
        {"at": "2026-01-02T03:04:05.000006+00:00"},
        {"at": "2026-01-02"},
        {"actor": "user:ana"},
        {"actor": {"id": "user:ana", "roles": "ml_lead"}},
        {"actor": {"id": "user:ana", "roles": [1]}},
        {"commit": ["actor.name"]},
        {"commit": {"actor.name": 5}},
        {"facts": "model"},
        {"facts": {"ratio": 0.5}},
        {"facts": {"deep": [[{"ratio": 1e300}]]}},
        {"facts": {"note": "Gru\u0308ße"}},
        {"facts": {"note": "\0"}},
        {"facts": {"number": 2**53}},
        {"facts": {"note": "x" * 3000}},
        {"subject": 5},
        {"event": None},
        {"id": "id-0"},
        {"object": "deployment/2"},
    ],
)
def test_what_is_unusual_is_left_to_the_rule(changes: dict[str, Any]) -> None:
    assert as_shown(_rows(**changes), 256) is None


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"at": "2026-01-02T03:04:05.000006X"}, None),
        ({"at": "2026-01-02Z"}, datetime(2026, 1, 2)),
        ({"actor": {"id": "user:ana", "roles": [1]}}, None),
        ({"commit": {"actor.name": 5}}, None),
        ({"commit": []}, None),
        ({"facts": []}, None),
    ],
)
def test_an_entry_that_nobody_can_read_is_not_shown_as_if_it_could_be_read(
    changes: dict[str, Any], at: datetime | None
) -> None:
    rows = _rows(facts={})
    data = orjson.dumps(_ENTRY | {"id": "id-1", "facts": {}} | changes, None, orjson.OPT_SORT_KEYS)
    index, _hash, _data, event_id, object_key, shown_at, *shown = rows[1]
    rows[1] = (index, sha256(b"\x00" + data).digest(), data, event_id, object_key, at or shown_at, *shown)
    assert as_shown(rows, 256) is None
    problems: list[Any] = []
    check(rows[1], problems)
    assert [code for _index, code, _detail in problems] == ["event.differs"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":2}',
        b'{"a": 1}',
        b"[1]",
        b'{"a":1.0}',
        b'{"a":[1,{"b":[-2.5e3]}]}',
        b'{"a":"\\u00e9"}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        '{"a":"e\u0301"}'.encode(),
        b'{"a":"\\u0000"}',
        b'{"a":9007199254740993}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":1}\n',
        b"{",
        b"",
    ],
)
def test_bytes_that_are_not_canonical_are_never_among_those_decoded_together(data: bytes) -> None:
    assert canonical.decode_all([b'{"a":1}', data, b"{}"]) is None
    with pytest.raises(canonical.NotCanonical):
        canonical.decode(data)


def test_entries_decoded_together_are_those_decoded_one_by_one() -> None:
    entries = [canonical.encode({"a": [number, {"ü": True}], "b": None, "c": "Ω 1.5 [2.5,3]"}) for number in range(300)]
    assert (
        canonical.decode_all(entries)
        == [canonical.decode(entry) for entry in entries]
        == list(map(json.loads, entries))
    )
    assert canonical.decode_all([]) is None
