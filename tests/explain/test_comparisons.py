"""Two stored explanations beside each other."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.refusals import Conflict, Refused
from explain import comparisons, wording
from explain.methods.quality import RowResult
from tests.explain.conftest import Perform, ask, register_endpoint, sample
from tests.explain.finished import finished, result
from tests.explain.servers import probability, serving

pytestmark = pytest.mark.usefixtures("committed_db")
URL = "http://127.0.0.1:9"
BEFORE = {"r0": [0.3, 0.1, 0.0], "r1": [0.1, -0.3, 0.05]}
AFTER = {"r0": [0.1, 0.3, 0.0], "r1": [0.1, 0.3, 0.05]}


@pytest.fixture
def endpoints() -> tuple[Any, Any]:
    return register_endpoint(URL), register_endpoint(URL, name="challenger", digest="b")


def test_two_versions_on_the_same_rows(endpoints: tuple[Any, Any]) -> None:
    one, two = finished(endpoints[0], BEFORE), finished(endpoints[1], AFTER)
    assert one.digests["rows"] != two.digests["rows"]  # salted, so that the log tells nothing about rows
    found = comparisons.compare(one, two)
    assert [row.top for row in found.change.rows] == [("income", "age"), ("age", "age")]
    assert found.change.rows[1].flips == ("age",)
    assert found.change.top_changed == 0.5
    assert "changes in 1 row of 2" in comparisons.conclusion(found)
    assert comparisons.quality(found) == ["Fewer than ten rows: there are no intervals."]
    assert json.loads(json.dumps(comparisons.as_json(found)))["champion"]["version"] == one.version.subject
    same = comparisons.compare(one, one)
    assert "same in all 2 rows" in comparisons.conclusion(same)


def test_columns_that_were_grouped_are_compared_as_one_feature(endpoints: tuple[Any, Any]) -> None:
    groups = {"person": ["income", "age"]}
    one, two = (finished(each, rows, groups=groups) for each, rows in zip(endpoints, (BEFORE, AFTER), strict=True))
    found = comparisons.compare(one, two)
    assert found.change.columns == ("person", "sector")
    assert found.change.rows[0].difference == (0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 8}, "the seed"),
        ({"background": sample(31, seed=9)}, "the background"),
        ({"scale": "log_odds"}, "the scale"),
        ({"groups": {"person": ["income", "age"]}}, "the groups of columns"),
        ({"rows": {f"r{i}": row for i, row in enumerate(sample(2, seed=6))}}, "the rows"),
        ({"rows": {f"x{i}": row for i, row in enumerate(sample(2))}}, "the rows"),
    ],
)
def test_another_question_is_refused_by_name(endpoints: tuple[Any, Any], changes: dict[str, Any], words: str) -> None:
    names = list(changes.get("rows", BEFORE))
    other = finished(endpoints[1], dict(zip(names, AFTER.values(), strict=True)), **changes)
    with pytest.raises(Refused) as caught:
        comparisons.compare(finished(endpoints[0], BEFORE), other)
    assert caught.value.code == "explanation.compare.conditions"
    assert words in caught.value.sentence


def test_what_has_not_finished_is_not_compared(endpoints: tuple[Any, Any]) -> None:
    with pytest.raises(Conflict) as caught:
        comparisons.compare(finished(endpoints[0], BEFORE), ask(endpoints[1], count=2))
    assert caught.value.code == "explanation.not_finished"


def test_a_draft_makes_the_comparison_one(endpoints: tuple[Any, Any]) -> None:
    draft = finished(endpoints[1], {"r0": AFTER["r0"], "r1": result("r1", AFTER["r1"], converged=False)})
    found = comparisons.compare(finished(endpoints[0], BEFORE), draft)
    assert found.drafts == (draft,)
    assert draft.subject in comparisons.quality(found)[0]
    broken = finished(endpoints[1], {"r0": AFTER["r0"], "r1": RowResult("r1", problem="poison")})
    left = comparisons.compare(finished(endpoints[0], BEFORE), broken)
    assert left.change.left_out == ("r1",)


def harsher(row: dict[str, Any]) -> float:
    """Another version of ``servers.probability``: age weighs more, and with the sector."""
    return probability(row) - 0.004 * float(row["age"]) * (row["sector"] != "trade")


def exact(model: Callable[[dict[str, Any]], float], row: dict[str, Any], behind: list[dict[str, Any]]) -> Any:
    """Shapley values by their definition, over all orders of the three columns."""
    phi = dict.fromkeys(row, 0.0)
    orders = list(itertools.permutations(row))
    for order, other in itertools.product(orders, behind):
        mixed = dict(other)
        for name in order:
            before = model(mixed)
            mixed[name] = row[name]
            phi[name] += (model(mixed) - before) / len(orders) / len(behind)
    return np.array([phi[name] for name in ("income", "age", "sector")])


def test_two_served_versions_differ_by_what_they_really_differ_in(perform: Perform) -> None:
    """The whole way: served models, workers, sealed rows, common random numbers; against the exact difference."""

    def answers(rows: list[dict[str, Any]], _count: int) -> Any:
        return 200, json.dumps({"predictions": [[1 - harsher(row), harsher(row)] for row in rows]}).encode(), {}

    with serving() as (url, _server), serving(answers) as (other_url, _other):
        one = perform(ask(register_endpoint(url), count=12))
        two = perform(ask(register_endpoint(other_url, name="challenger", digest="b"), count=12))
    found = comparisons.compare(one, two)
    assert found.drafts == ()
    rows, behind = sample(12), sample(30, seed=9)
    for number, row in enumerate(found.change.rows):
        truth = exact(harsher, rows[number], behind) - exact(probability, rows[number], behind)
        assert row.row_id == f"r{number}"
        assert (np.abs(np.array(row.difference) - truth) <= 4 * np.array(row.se) + 1e-6).all()
    assert found.change.features[1].name == "age"
    assert found.change.features[1].low is not None
    assert found.change.features[1].low > 0


def test_everything_that_cannot_be_said_has_a_sentence_with_its_facts() -> None:
    raised = {}
    for path in (Path(__file__).resolve().parents[2] / "explain").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CannotSay":
                assert isinstance(node.args[0], ast.Constant)
                raised.setdefault(str(node.args[0].value), set()).update(str(each.arg) for each in node.keywords)
    assert raised.keys() == wording._SENTENCES.keys()
    for code, facts in raised.items():
        used = set(re.findall(r"%\((\w+)\)", str(wording._SENTENCES[code])))
        assert used <= facts, code
