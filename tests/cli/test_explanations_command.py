"""``countersign explanations``: what is sent, what exit codes say, and results checked against a receipt offline."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from countersign import explanation_proof, tables

from explain import queries
from explain.api.serializers import ResultSerializer
from tests.cli.gate import run
from tests.explain.conftest import Perform, ask, delivered, register_endpoint  # noqa: F401
from tests.explain.conftest import perform as perform
from tests.explain.servers import serving


def test_numbers_are_written_as_rfc_8785_says() -> None:
    chance = random.Random(7)
    values: list[float] = [0.0, -0.0, 1.5, 1e21, 1e-6, 1e-7, 123456789.123, 5e-324, 1.7976931348623157e308, 100.0, 0.1]
    values += [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(20_000)]
    for value in values:
        if value == value and abs(value) < 2**53:
            assert explanation_proof.number(value).encode() == rfc8785.dumps(value), repr(value)


def test_names_and_texts_are_written_as_rfc_8785_says() -> None:
    value = {"é": "ü\n\u2028", "\U0001f600": [1, None, True], "a": {"b": -0.5}, "\ufb33": "'\"\\"}
    assert explanation_proof.canonical(value).encode() == rfc8785.dumps(value)


@pytest.fixture
def saved(committed_db: Any, perform: Perform, tmp_path: Path) -> dict[str, Path]:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    files = {
        "receipt": {"receipt": job.receipt, "digest": job.receipt_digest},
        "results": {"columns": job.names, "results": ResultSerializer(queries.results(job), many=True).data},
    }
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    return {name: tmp_path / name for name in files}


def verify(saved: dict[str, Path]) -> Any:
    return run(
        "explanations",
        "verify",
        "--receipt",
        str(saved["receipt"]),
        "--results",
        str(saved["results"]),
        "--output",
        "json",
    )


def test_results_that_fit_their_receipt_pass_without_the_server(saved: dict[str, Path]) -> None:
    found = verify(saved)
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout)["rows"] == 6


@pytest.mark.parametrize("what", ["phi", "fx", "order", "missing", "receipt"])
def test_whatever_was_changed_is_a_mismatch(saved: dict[str, Path], what: str) -> None:
    results, receipt = (json.loads(saved[name].read_text()) for name in ("results", "receipt"))
    rows = results["results"]
    match what:
        case "phi":
            rows[2]["phi"][0] += 1e-9
        case "fx":
            rows[2]["fx"] += 0.1
        case "order":
            rows.reverse()
        case "missing":
            rows.pop()
        case "receipt":
            receipt["receipt"]["seed"] = "8"
    saved["results"].write_text(json.dumps(results))
    saved["receipt"].write_text(json.dumps(receipt))
    assert verify(saved).returncode == 6


def test_what_is_no_receipt_is_a_usage_error(saved: dict[str, Path]) -> None:
    saved["receipt"].write_text("[]")
    assert verify(saved).returncode == 2
    saved["receipt"].write_text("{")
    assert verify(saved).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["result", "--id", "x"], "whole number"),
        (["result", "--id", "1", "--format", "parquet"], "--out"),
        (["request", "--version", "version:a/1", "--endpoint", "e"], "--rows"),
        (["request", "--version", "version:a/1", "--endpoint", "e", "--draw-rows", "4"], "--dataset"),
        (["request", "--version", "version:a/1", "--endpoint", "e", "--dataset", "d"], "--draw-rows"),
        (["request", "--version", "v:a/1", "--endpoint", "e", "--dataset", "d", "--draw-rows", "4"], "--background"),
        (["request", "--version", "v", "--endpoint", "e", "--dataset", "d", "--draw-rows", "x"], "whole number"),
        (["status"], "--id"),
    ],
)
def test_a_wrong_question_is_refused_before_anything_is_asked(arguments: list[str], words: str) -> None:
    found = run("explanations", *arguments, "--url", "http://127.0.0.1:9", "--token", "csn_x")
    assert found.returncode == 2
    assert words in found.stderr


@pytest.mark.parametrize("what", ["erased", "explanation", "digest"])
def test_a_result_that_claims_something_else_is_a_mismatch(saved: dict[str, Path], what: str) -> None:
    results = json.loads(saved["results"].read_text())
    row = results["results"][0]
    if what == "erased":
        receipt = json.loads(saved["receipt"].read_text())["receipt"]
        digests = {name: row.get(name) for name in explanation_proof._FIELDS}
        row |= {"digest": explanation_proof.digest({"id": row["row_id"], **digests}), "erased": True}
        row["phi"][0] += 1.0
        assert receipt["digests"]
    elif what == "explanation":
        results["explanation"] = "explanation:999"
    else:
        results["receipt_digest"] = f"sha256:{'0' * 64}"
    saved["results"].write_text(json.dumps(results))
    assert verify(saved).returncode == 6


def test_a_column_says_whom_a_row_is_about_and_its_zeros_stay(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("who,age,code,share\n007,41,0012,.5\n 7 ,,0013,1e-2\n")
    rows, persons = tables.persons(tables.rows(str(tmp_path / "rows.csv"), person="who"), "who")
    assert rows == [{"age": 41, "code": "0012", "share": 0.5}, {"age": None, "code": "0013", "share": 0.01}]
    assert persons == {"1": "007", "2": "7"}
    named, persons = tables.persons([{"id": "a", "values": {"who": 7, "age": 1}}], "who")
    assert (named, persons) == ([{"id": "a", "values": {"age": 1}}], {"a": "7"})
    assert tables.behind([{"who": 0}, {"who": " "}, {"age": 1}, 3], "who") == ["0", "", "", ""]
    assert tables.behind([{"age": 1}], "who") == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", "a,a\n1,2\n", "a column twice"),
        ("rows.csv", "a,b\n1\n", "more or fewer cells"),
        ("rows.json", '[{"a": 1, "a": 2}]', "occurs twice"),
        ("rows.json", '{"a": 1}', "a list of rows"),
        ("rows.json", '[{"age": 1}]', "has no “who”"),
        ("rows.json", "[3]", "Row 1 is not an object"),
    ],
)
def test_a_file_of_rows_that_cannot_be_meant_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    files = ("--rows", str(tmp_path / name), "--background", str(tmp_path / name))
    found = run(
        "explanations",
        "request",
        "--url",
        "http://127.0.0.1:9",
        "--token",
        "csn_x",
        "--version",
        "version:a/1",
        "--endpoint",
        "e",
        "--subject-column",
        "who",
        *files,
    )
    assert found.returncode == 2
    assert words in found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["request", "--first", "1"], "--kind"),
        (["request", "--kind", "guess", "--first", "1"], "comparison"),
        (["request", "--kind", "drift", "--first", "one"], "whole number"),
        (["request", "--kind", "fairness", "--first", "1", "--threshold", "nan"], "is not a number"),
        (["request", "--kind", "fairness", "--first", "1", "--labels", "no-such-file"], "no JSON file"),
        (["show"], "--id"),
    ],
)
def test_a_wrong_question_of_an_analysis_is_refused_before_anything_is_asked(arguments: list[str], words: str) -> None:
    found = run("analyses", *arguments, "--url", "http://127.0.0.1:9", "--token", "csn_x")
    assert found.returncode == 2
    assert words in found.stderr
