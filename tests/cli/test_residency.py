"""``countersign residency`` and ``countersign halts``."""

from __future__ import annotations

import csv
import io
import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from governance import residency_table
from tests.cli.gate import Gate, run, serving

BACKUP: dict[str, Any] = {
    "state": "uncovered",
    "kind": "backup",
    "subject": "environment:prod-uae",
    "region": "azure:germanywestcentral",
    "claimed_region": "azure:germanywestcentral",
    "country": "DE",
    "perimeter": "AE-federal",
    "classification": "personal",
    "people": ["AE"],
    "safeguards": [],
    "safeguard_until": None,
    "rules": ["uae-pdpl/AE-RES-001"],
    "message": "=outside the UAE",
    "remedy": "Move it",
    "environments": ["prod-uae"],
    "deployments": ["deployment:1"],
    "denied": ["deployment:1"],
}
COVERED = {**BACKUP, "state": "covered", "region": None, "claimed_region": None, "country": None, "perimeter": None}
COVERED |= {"safeguards": ["TS-1"], "safeguard_until": "2099-01-01T00:00:00Z", "message": None}
UNDECIDED = {"deployment": "deployment:2", "version": "version:m/1", "why": "No engine."}
MAP = {"decided_again": 2, "undecided": [UNDECIDED], "results": [BACKUP, COVERED]}
HALT = {"safeguard": "TS-1", "state": "open", "relied": [{}], "owner": None, "opened_at": "2026-11-22T09:00:00Z"}


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_the_map_is_a_table_that_begins_with_what_is_not_covered() -> None:
    with serving(Gate(answer=MAP)) as gate:
        done = asked(gate, "residency")
        assert done.returncode == 0, done.stderr
        assert gate.received[0].path == "/api/v1/residency"
        assert done.stdout.splitlines() == [
            "1 of 2 flows is not covered",
            "1 deployments could not be decided",
            "undecided  -  version:m/1  unknown place (nobody said)  under an unknown law",
            "  No engine.",
            "uncovered  backup  environment:prod-uae  azure:germanywestcentral (DE)  under AE-federal",
            "  =outside the UAE",
            "covered  backup  environment:prod-uae  unknown place (nobody said)  under an unknown law"
            "  by TS-1 until 2099-01-01T00:00:00Z",
        ]
        assert json.loads(asked(gate, "residency", "--output", "json").stdout) == {**MAP, "exit_code": 0}


def test_the_map_as_csv_has_the_columns_of_the_server_and_executes_nothing() -> None:
    with serving(Gate(answer=MAP)) as gate:
        rows = list(csv.DictReader(io.StringIO(asked(gate, "residency", "--output", "csv").stdout)))
    assert list(rows[0]) == residency_table.COLUMNS
    assert [row["state"] for row in rows] == ["undecided", "uncovered", "covered"]
    assert rows[1]["message"] == "'=outside the UAE"


def test_an_answer_without_rows_is_no_empty_map() -> None:
    with serving(Gate(answer={"ok": True})) as gate:
        assert asked(gate, "residency").returncode == 4
        assert asked(gate, "halts", "list").returncode == 4
        assert asked(gate, "halts", "take", "--reference", "TS-1").returncode == 4


def test_what_has_to_be_halted_is_listed_taken_and_done() -> None:
    with serving(Gate(answer={"results": [HALT], "next": None})) as gate:
        listed = asked(gate, "halts", "list")
        assert listed.stdout == "TS-1  open  1 deployment relied on it  since 2026-11-22T09:00:00Z\n"
        assert gate.received[0].path == "/api/v1/transfer-halts"
    with serving(Gate(answer={**HALT, "state": "done", "owner": "user:1"})) as gate:
        assert asked(gate, "halts", "take", "--reference", "TS/1").returncode == 0
        done = asked(
            gate, "halts", "done", "--reference", "TS-1", "--reason", "Off.", "--recipients", "Bank, Frankfurt; B"
        )
        assert done.stdout == "TS-1  done  user:1  1 deployment relied on it  since 2026-11-22T09:00:00Z\n"
        assert [each.path for each in gate.received] == [
            "/api/v1/transfer-halts/TS%2F1/take",
            "/api/v1/transfer-halts/TS-1/done",
        ]
        assert gate.received[1].body == {"reason": "Off.", "recipients": ["Bank, Frankfurt", "B"]}


@pytest.mark.parametrize(
    "words", [("halts", "done", "--reference", "TS-1", "--reason", "Off."), ("residency", "--output", "sarif")]
)
def test_wrong_usage_is_a_sentence_and_asks_nothing(words: tuple[str, ...]) -> None:
    with serving(Gate(answer=MAP)) as gate:
        done = asked(gate, *words)
        assert (done.returncode, gate.received) == (2, []), done.stdout
        assert done.stderr.startswith("countersign: ")


def test_a_safeguard_whose_end_has_come_is_listed_as_ended() -> None:
    row = {"reference": "TS-1", "status": "active", "standing": "ended", "type": "SCC", "law": "SA"}
    with serving(Gate(answer={"results": [{**row, "expires_at": "2020-01-01T00:00:00Z"}], "next": None})) as gate:
        assert asked(gate, "transfers", "list").stdout == "TS-1  ended  SCC (SA)  until 2020-01-01T00:00:00Z\n"
