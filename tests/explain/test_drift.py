"""Drift where there is some, none where there is none, each with its size beside its p-value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from explain.methods import drift
from explain.methods.codes import Column
from explain.methods.drift import ColumnDrift
from explain.methods.refused import CannotSay

KINDS = [Column("income", "number"), Column("sector", "string"), Column("member", "boolean")]


def rows(count: int, seed: int, *, shift: float = 0.0, share: float = 0.5) -> list[list[Any]]:
    rng = np.random.default_rng(seed)
    return [
        [float(rng.normal(shift)), str(rng.choice(["a", "b"], p=[share, 1 - share])), bool(rng.random() < 0.3)]
        for _ in range(count)
    ]


def one(column: Column, reference: list[Any], current: list[Any]) -> ColumnDrift:
    return drift.columns([column], [[cell] for cell in reference], [[cell] for cell in current]).columns[0]


def test_the_column_that_drifted_is_named_and_the_others_are_not() -> None:
    found = drift.columns(KINDS, rows(300, 1), rows(250, 2, shift=0.6))
    assert found.drifted == ("income",)
    assert found.sizes == (300, 250)
    assert {column.name: column.test for column in found.columns} == {
        "income": "ks",
        "sector": "chi2",
        "member": "chi2",
    }
    income = found.columns[0]
    assert income.psi > drift.PSI_LARGE > income.psi_by_chance
    assert drift.columns(KINDS, rows(300, 1), rows(300, 3, share=0.25)).drifted == ("sector",)


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    alarms = [bool(drift.columns(KINDS, rows(80, 2 * i), rows(80, 2 * i + 1)).drifted) for i in range(200)]
    assert np.mean(alarms) <= 0.09


def test_numbers_of_one_column_that_can_be_checked_by_hand() -> None:
    found = one(Column("x", "string"), ["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70)
    chi2 = 200 * (60 * 70 - 40 * 30) ** 2 / (90 * 110 * 100 * 100)
    assert found.effect == pytest.approx(np.sqrt(chi2 / 200))
    p, q = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    assert found.psi == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert found.psi_by_chance == pytest.approx(0.02)
    assert found.p == found.q < 0.001
    same = one(Column("x", "number"), list(range(100)), list(range(100)))
    assert (same.effect, same.p, same.distance, same.psi) == (0.0, 1.0, 0.0, 0.0)
    apart = one(Column("x", "number"), list(range(100)), list(range(200, 300)))
    assert apart.effect == 1.0
    assert apart.distance > 0.8
    moved = one(Column("x", "number"), [1.0] * 40, [2.0] * 40)
    assert moved.psi > drift.PSI_LARGE
    assert moved.distance == 1.0


def test_p_values_are_corrected_over_all_columns() -> None:
    kinds = [Column(f"x{j}", "number") for j in range(40)]
    rng = np.random.default_rng(1)
    found = drift.columns(kinds, rng.normal(size=(60, 40)).tolist(), rng.normal(size=(60, 40)).tolist())
    assert min(column.p for column in found.columns) < 0.05
    assert found.drifted == ()


def test_the_index_by_chance_is_about_what_chance_gives() -> None:
    rng = np.random.default_rng(11)
    found = [one(KINDS[0], rng.normal(size=200).tolist(), rng.normal(size=200).tolist()) for _ in range(100)]
    assert np.mean([each.psi for each in found]) == pytest.approx(found[0].psi_by_chance, rel=0.25)


def test_more_missing_values_are_drift_even_when_the_present_ones_are_alike() -> None:
    rng = np.random.default_rng(12)
    values = rng.normal(size=200).tolist()
    holes = [None if i % 4 == 0 else value for i, value in enumerate(rng.normal(size=200).tolist())]
    found = one(KINDS[0], values, holes)
    assert found.drifted
    assert found.missing == (0.0, 0.25)
    assert one(KINDS[0], values, [float("nan") if hole is None else hole for hole in holes]) == found


@pytest.mark.parametrize(
    ("column", "reference", "current", "drifted"),
    [
        (Column("x", "number"), [5.0] * 40, [5.0] * 40, False),
        (Column("x", "number"), [None] * 40, [None] * 40, False),
        (Column("x", "number"), [None] * 40, [1.0] * 40, True),
        (Column("x", "number"), [1.0] * 40, [2.0] * 40, True),
        (Column("x", "string"), ["a"] * 40, ["a"] * 40, False),
        (Column("x", "string"), ["a"] * 40, ["b"] * 40, True),
        (Column("x", "string"), [f"id {i}" for i in range(40)], [f"id {i}" for i in range(40, 80)], False),
    ],
)
def test_columns_with_little_in_them(column: Column, reference: list[Any], current: list[Any], drifted: bool) -> None:
    found = one(column, reference, current)
    assert found.drifted == drifted
    assert np.isfinite([found.p, found.q, found.psi, found.psi_by_chance, found.distance]).all()


def test_contributions_and_predictions_are_numbers_too() -> None:
    rng = np.random.default_rng(13)
    found = drift.numbers(["a", "b"], rng.normal(size=(90, 2)), rng.normal([0.0, 1.0], size=(90, 2)))
    assert found.drifted == ("b",)


def test_a_classifier_finds_what_no_column_shows() -> None:
    """Each column alone is the same; together they have another sign of correlation."""
    rng = np.random.default_rng(14)
    kinds = [Column("x", "number"), Column("y", "number"), Column("z", "string")]

    def sample(sign: int) -> list[list[Any]]:
        x = rng.normal(size=200)
        y = sign * x + rng.normal(0, 0.3, 200)
        return [[float(a), float(b), "same"] for a, b in zip(x, y, strict=True)]

    reference, current = sample(1), sample(-1)
    assert drift.columns(kinds, reference, current).drifted == ()
    found = drift.classifier(kinds, reference, current, seed=1)
    assert found.low > 0.8
    assert found.low <= found.auc <= found.high
    assert found.importance[-1][0] == "z"
    nothing = drift.classifier(kinds, sample(1), sample(1), seed=1)
    assert nothing.low < 0.5 < nothing.high or abs(nothing.auc - 0.5) < 0.08
    assert drift.classifier(kinds, reference, current, seed=1) == found


def test_missing_values_and_categories_do_not_stop_the_classifier() -> None:
    reference = [[None, "a" if i % 2 else None, True] for i in range(30)]
    current = [[1.0, "c", False] for _ in range(30)]
    assert drift.classifier(KINDS, reference, current, seed=0).auc == 1.0


@pytest.mark.parametrize(("first", "second"), [(29, 30), (30, 29), (0, 100)])
def test_fewer_than_thirty_rows_say_nothing(first: int, second: int) -> None:
    for ask in (drift.columns, lambda *given: drift.classifier(*given, seed=0)):
        with pytest.raises(CannotSay) as caught:
            ask(KINDS, rows(first, 1), rows(second, 2))
        assert caught.value.code == "drift.too_few"
        assert caught.value.facts == {"reference": first, "current": second, "least": 30}
