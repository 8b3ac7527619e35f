"""Which rows stand for all, and columns that are read as one feature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explain.methods.groups import grouping
from explain.methods.quality import mean_interval
from explain.methods.refused import CannotSay
from explain.methods.sampling import background, stratified
from tests.explain.test_pairperm_oracles import explain

ROWS = [[i, f"name {i}"] for i in range(1000)]
SCORES = [i / 1000 for i in range(1000)]


def test_every_slice_of_scores_gives_its_share() -> None:
    found = background(ROWS, SCORES, seed=1)
    assert found.taken == (10,) * 10
    assert [sum(100 * k <= i < 100 * (k + 1) for i in found.positions) for k in range(10)] == [10] * 10
    assert list(found.positions) == sorted(found.positions)


def test_a_size_that_does_not_divide_is_still_met() -> None:
    found = stratified(ROWS[:57], SCORES[:57], size=23, seed=1)
    assert len(set(found.positions)) == 23
    assert max(found.taken) - min(found.taken) <= 1


def test_the_same_rows_are_chosen_in_any_order_and_others_by_another_seed() -> None:
    shuffled = np.random.default_rng(3).permutation(1000)
    there = stratified(ROWS, SCORES, size=40, seed=1)
    here = stratified([ROWS[i] for i in shuffled], [SCORES[i] for i in shuffled], size=40, seed=1)
    assert [int(shuffled[i]) for i in here.positions] == list(there.positions)
    assert here.digest == there.digest
    assert stratified(ROWS, SCORES, size=40, seed=2).digest != there.digest


def test_all_rows_when_there_are_fewer_and_equal_rows_stay_as_often_as_they_occur() -> None:
    found = background([[1], [1], [2]], [0.5, 0.5, 0.1], seed=0)
    assert sorted(found.positions) == [0, 1, 2]
    assert found.positions[0] == 2
    assert (found.low, found.high) == (0.1, 0.5)


def test_one_and_1_0_and_true_are_different_rows() -> None:
    digests = {stratified([[cell]], [0.0], size=1, seed=0).digest for cell in (1, 1.0, True, "1", None)}
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("rows", "scores", "size", "code"),
    [([], [], 5, "sample.empty"), ([[1]], [math.nan], 5, "sample.score"), ([[1]], [0.1], 0, "sample.size")],
)
def test_what_cannot_be_sampled(rows: list[list[int]], scores: list[float], size: int, code: str) -> None:
    with pytest.raises(CannotSay) as caught:
        stratified(rows, scores, size=size, seed=0)
    assert caught.value.code == code


COLUMNS = ["income", "red", "age", "green", "blue"]


def test_a_group_sums_its_columns_where_the_first_one_stood() -> None:
    made = grouping(COLUMNS, {"colour": ["green", "red", "blue"]})
    assert made.names == ("income", "colour", "age")
    phi = np.array([[1.0, 2.0, 4.0, 8.0, 16.0], [0.5, 0.5, 0.5, 0.5, 0.5]])
    assert made.contributions(phi).tolist() == [[1.0, 26.0, 4.0], [0.5, 1.5, 0.5]]
    assert made.contributions(phi).sum(axis=1).tolist() == phi.sum(axis=1).tolist()


def test_a_group_may_have_the_name_of_its_own_column() -> None:
    assert grouping(COLUMNS, {"red": ["red", "green"]}).names == ("income", "red", "age", "blue")


@pytest.mark.parametrize(
    ("groups", "code"),
    [
        ({"colour": []}, "group.empty"),
        ({"": ["red"]}, "group.empty"),
        ({"colour": ["yellow"]}, "group.column_unknown"),
        ({"colour": ["red", "red"]}, "group.column_twice"),
        ({"a": ["red"], "b": ["red"]}, "group.column_twice"),
        ({"age": ["red", "blue"]}, "group.name_taken"),
    ],
)
def test_groups_that_mean_nothing(groups: dict[str, list[str]], code: str) -> None:
    with pytest.raises(CannotSay) as caught:
        grouping(COLUMNS, groups)
    assert caught.value.code == code


def test_the_error_of_a_group_is_never_understated() -> None:
    """600 estimates of one row with different seeds: the real spread of each group's sum is within its bound."""
    rng = np.random.default_rng(12)
    weights, x, rows = rng.normal(size=5), rng.normal(size=5), rng.normal(size=(30, 5))

    def model(each: np.ndarray) -> np.ndarray:
        return np.tanh(2 * each @ weights) * (1 + each[:, 1] * each[:, 3])

    made = grouping(COLUMNS, {"colour": ["red", "green", "blue"]})
    runs = [explain(model, x, rows, seed=seed, rounds=4, least=4) for seed in range(600)]
    spread = np.std([made.contributions(run.phi) for run in runs], axis=0)
    bound = np.mean([made.errors(run.se) for run in runs], axis=0)
    naive = np.mean([math.hypot(*(run.se[j] for j in made.members[1])) for run in runs])
    assert (spread <= 1.08 * bound).all()  # 600 runs know a spread to 3 %
    assert abs(naive - spread[1]) > 0.1 * spread[1]  # the root of the sum of squares is another number


def test_everything_as_one_group_has_no_error_unless_it_is_lime() -> None:
    made = grouping(["a", "b"], {"all": ["a", "b"]})
    se = np.array([0.1, 0.2])
    assert made.errors(se).tolist() == [0.0]
    assert made.errors(se, additive=False).tolist() == pytest.approx([0.3])


def test_the_bootstrap_interval_of_a_mean_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(17)
    covered = []
    for seed in range(200):
        found = mean_interval(rng.exponential(2.0, size=(60, 3)), seed=seed)
        covered += list((found.low <= 2.0) & (found.high >= 2.0))
    assert 0.90 <= np.mean(covered) <= 0.97


def test_a_stratified_sample_knows_the_mean_better_than_a_random_one() -> None:
    rng = np.random.default_rng(18)
    scores = np.sort(rng.exponential(1.0, size=2000))
    rows = [[float(score)] for score in scores]
    sliced = [scores[list(stratified(rows, scores.tolist(), size=100, seed=s).positions)].mean() for s in range(20)]
    drawn = [rng.choice(scores, 100, replace=False).mean() for _ in range(20)]
    assert np.std(sliced) < 0.6 * np.std(drawn)
    assert np.mean(sliced) == pytest.approx(scores.mean(), rel=0.03)
