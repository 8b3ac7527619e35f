"""Champion against challenger: the same question to both, or no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explain.methods.codes import Floats
from explain.methods.comparing import Change, Side, compare
from explain.methods.pairperm import Z95
from explain.methods.quality import RowResult, certain_ranks
from explain.methods.refused import CannotSay
from tests.explain.test_pairperm_oracles import explain

COLUMNS = ("a", "b", "c", "d")
CONDITIONS = {"rows": "sha256:r", "background": "sha256:b", "seed": 7, "method": "shap", "output": "probability"}


def side(phi: Any, *, se: float = 0.001, **conditions: Any) -> Side:
    values = np.asarray(phi, dtype=float)
    rows = tuple(
        RowResult(
            f"r{i}",
            phi=tuple(each),
            se=(se,) * len(each),
            base=0.0,
            fx=float(each.sum()),
            residual=0.0,
            converged=True,
            certain=certain_ranks(each, np.full(len(each), se)),
        )
        for i, each in enumerate(values)
    )
    return Side({**CONDITIONS, **conditions}, COLUMNS, rows)


def test_the_same_explanation_twice_has_no_change() -> None:
    same = side([[4, -3, 2, 1], [1, 2, -3, 5]])
    found = compare(same, same)
    assert (found.spearman, found.top_changed, found.jaccard, found.flipped, found.largest) == (1.0, 0.0, 1.0, 0.0, 0.0)
    assert {value for row in found.rows for value in (*row.difference, *row.rank_change, *row.share_shift)} == {0}


def test_one_row_in_numbers_that_can_be_checked_by_hand() -> None:
    found = compare(side([[4, -3, 2, 1]]), side([[1, 3, 2, 4]], se=0.002))
    (row,) = found.rows
    assert row.difference == (-3.0, 6.0, 0.0, 3.0)
    assert row.se == pytest.approx([np.hypot(0.001, 0.002)] * 4)
    assert row.rank_change == (3, 0, 0, -3)
    assert row.share_shift == pytest.approx([-0.3, 0.0, 0.0, 0.3])
    assert row.flips == ("b",)
    assert (row.top, row.top_changed, row.certain) == (("a", "d"), True, True)
    assert row.jaccard == 0.5
    assert (found.top_changed, found.top_changed_certain, found.flipped, found.largest) == (1.0, 1.0, 1.0, 6.0)
    assert found.spearman == pytest.approx(-0.8)
    assert {(each.low, each.high) for each in found.features} == {(None, None)}


def test_noise_is_neither_a_flip_nor_a_certain_change() -> None:
    found = compare(side([[1.00, 0.99, -0.01, 0.0]], se=0.02), side([[0.99, 1.00, 0.01, 0.0]], se=0.02))
    (row,) = found.rows
    assert row.flips == ()
    assert row.top_changed
    assert not row.certain
    assert (found.top_changed, found.top_changed_certain) == (1.0, 0.0)


def test_where_no_error_is_known_no_sign_is_said_to_have_flipped() -> None:
    unknown = {"error_known": False}
    two = side([[1, 3, 2, 4]])
    one = side([[4, -3, 2, 1]], se=0.0)
    guessed = Side(one.conditions, one.columns, tuple(replace(row, diagnostics=unknown) for row in one.rows))
    assert compare(one, two).rows[0].flips == ("b",)
    assert compare(guessed, two).rows[0].flips == compare(two, guessed).rows[0].flips == ()


def test_the_same_order_over_all_hides_other_reasons_for_single_rows() -> None:
    """What the per-row part is for."""
    rng = np.random.default_rng(4)
    before = np.abs(rng.normal([5, 4, 2, 1], 0.3, size=(100, 4)))
    after = before.copy()
    after[:13, [0, 1]] = after[:13, [1, 0]]
    found = compare(side(before), side(after))
    assert found.spearman == 1.0
    assert found.top_changed >= 0.12


def test_the_interval_of_a_difference_is_paired() -> None:
    """Row effects that both sides share must not widen it: unpaired it would be 30 times wider."""
    rng = np.random.default_rng(5)
    before = np.abs(rng.normal(5, 3, size=(200, 4)))
    after = before + rng.normal([0.5, 0, 0, 0], 0.1, size=(200, 4))
    found = compare(side(before), side(after))
    first = found.features[0]
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.5 < first.high
    assert first.high - first.low < 0.05
    assert first.low > 0


def test_rows_without_a_result_are_left_out_by_name() -> None:
    one, two = side([[1, 2, 3, 4], [4, 3, 2, 1]]), side([[1, 2, 3, 4], [4, 3, 2, 1]])
    broken = replace(two, rows=(two.rows[0], RowResult("r1", problem="poison")))
    found = compare(one, broken)
    assert (len(found.rows), found.left_out) == (1, ("r1",))


@pytest.mark.parametrize(
    ("other", "code", "differing"),
    [
        (side([[1, 2, 3, 4]], seed=8), "compare.conditions", ["seed"]),
        (side([[1, 2, 3, 4]], background="x", output="value"), "compare.conditions", ["background", "output"]),
        (side([[1, 2, 3, 4]], rows="x"), "compare.conditions", ["rows"]),
        (side([[1, 2, 3, 4]] * 2), "compare.rows", None),
        (replace(side([[1, 2, 3, 4]]), columns=("b", "a", "c", "d")), "compare.columns", None),
        (replace(side([[1, 2, 3, 4]]), rows=(RowResult("r9", problem="x"),)), "compare.rows", None),
        (replace(side([[1, 2, 3, 4]]), rows=(RowResult("r0", problem="x"),)), "compare.nothing", None),
    ],
)
def test_what_was_asked_differently_is_not_compared(other: Side, code: str, differing: list[str] | None) -> None:
    with pytest.raises(CannotSay) as caught:
        compare(side([[1, 2, 3, 4]]), other)
    assert caught.value.code == code
    assert caught.value.facts.get("differing") == differing


def changes(seeds: tuple[int, int], run: int) -> Change:
    """Two similar models explained on one row."""
    rng = np.random.default_rng(8)
    weights, x, rows = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(30, 4))

    def model(each: Floats, shift: float) -> Floats:
        return np.asarray(np.tanh(2 * each @ (weights + shift)) * (1 + each[:, 1] * each[:, 3]))

    sides = []
    for shift, seed in zip((0.0, 0.05), seeds, strict=True):
        made = explain(lambda each, by=shift: model(each, by), x, rows, seed=seed + run * 10, rounds=4, least=4)
        result = RowResult("r0", phi=tuple(made.phi), se=tuple(made.se), base=made.base, fx=made.fx, residual=0.0)
        sides.append(Side(CONDITIONS, COLUMNS, (result,)))
    return compare(*sides)


def test_common_random_numbers_make_the_difference_surer_and_its_error_is_on_the_safe_side() -> None:
    common = [changes((1, 1), run).rows[0] for run in range(200)]
    independent = [changes((1, 2), run).rows[0] for run in range(200)]
    spread, other = (np.std([row.difference for row in rows], axis=0) for rows in (common, independent))
    assert (other > 1.3 * spread).all()
    truth = np.mean([row.difference for row in common], axis=0)
    inside = [np.abs(np.array(row.difference) - truth) <= Z95 * np.array(row.se) for row in common]
    assert np.mean(inside) >= 0.95
