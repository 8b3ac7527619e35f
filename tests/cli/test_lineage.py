"""``countersign lineage closure``, ``lineage paths`` and ``reached``."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.gate import Gate, run, serving

CLOSURE = {"focus": "dataset:loans", "direction": "downstream", "count": 1, "nodes": ["version:credit/3"]}
PATHS = {"source": "a", "target": "b", "distance": 1, "paths": [["dataset:loans", "version:credit/3"]], "edges": []}
SERVED = {"version": "version:credit/3", "environment": "prod-uae", "perimeter": "AE-federal", "live": True}
REACHED = {
    "root": "dataset:loans",
    "counts": {"versions": 1, "sign_offs": 2},
    "deployments": [{**SERVED, "since": "s"}],
}


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


@pytest.mark.parametrize(
    ("words", "answer", "path", "lines"),
    [
        (
            ("lineage", "closure", "--focus", "dataset:loans"),
            CLOSURE,
            "/api/v1/lineage/closure?focus=dataset%3Aloans&direction=downstream",
            ["1 downstream of dataset:loans", "version:credit/3"],
        ),
        (
            ("lineage", "paths", "--source", "dataset:loans", "--target", "version:credit/3", "--limit", "2"),
            PATHS,
            "/api/v1/lineage/paths?source=dataset%3Aloans&target=version%3Acredit%2F3&limit=2",
            ["dataset:loans > version:credit/3"],
        ),
        (
            ("reached", "--subject", "dataset:loans", "--since", "2026-01-01T00:00:00Z"),
            REACHED,
            "/api/v1/blast-radius?subject=dataset%3Aloans&since=2026-01-01T00%3A00%3A00Z",
            ["1 versions, 2 sign offs", "version:credit/3 in prod-uae (AE-federal) since s, serves now"],
        ),
    ],
)
def test_the_answer_is_printed_and_kept_whole_as_json(
    words: tuple[str, ...], answer: dict[str, Any], path: str, lines: list[str]
) -> None:
    with serving(Gate(answer=answer)) as gate:
        done = asked(gate, *words)
        assert (done.returncode, done.stdout.splitlines()) == (0, lines), done.stderr
        assert gate.received[0].path == path
        whole = asked(gate, *words, "--output", "json")
        assert json.loads(whole.stdout) == {**answer, "exit_code": 0}


def test_an_answer_without_what_was_asked_for_is_not_success() -> None:
    with serving(Gate(answer={"focus": "dataset:loans"})) as gate:
        assert asked(gate, "lineage", "closure", "--focus", "dataset:loans").returncode == 4
        assert asked(gate, "reached", "--subject", "dataset:loans").returncode == 4


def test_a_missing_subject_and_an_unknown_direction_are_usage() -> None:
    with serving(Gate(answer=CLOSURE)) as gate:
        assert asked(gate, "reached").returncode == 2
        assert asked(gate, "lineage", "closure", "--focus", "x", "--direction", "sideways").returncode == 2
        assert gate.received == []


def test_the_name_of_a_data_set_cannot_steer_the_terminal() -> None:
    with serving(Gate(answer={**CLOSURE, "nodes": ["dataset:\x1b[2Jx"]})) as gate:
        assert "\x1b" not in asked(gate, "lineage", "closure", "--focus", "dataset:loans").stdout
