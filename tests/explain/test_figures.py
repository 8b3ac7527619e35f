"""Figures are plain JSON with few marks, the same each time, and their words name what is to be seen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from explain.methods import figures
from explain.methods.codes import Floats
from explain.pages import figures as drawn
from explain.pages import spoken
from explain.pages.shown import Shown

WORDS = ("low", "high", "value")


def data(rows: int, *, features: int = 14, seed: int = 3) -> Shown:
    """Results in which ``f0`` depends on the text ``f1``, and the rest is small."""
    rng = np.random.default_rng(seed)
    columns: list[list[Any]] = [rng.normal(size=rows).round(3).tolist() for _ in range(features)]
    columns[1] = rng.choice(["b", "<i>a</i>", "c"], rows).tolist()
    phi = rng.normal(scale=0.002, size=(rows, features))
    strong = np.array([value == "b" for value in columns[1]])
    phi[:, 0] += np.array(columns[0]) * np.where(strong, 0.3, 0.05)
    base = np.full(rows, 0.25)
    names = [f"f{j}" for j in range(features)]
    ids = [f"r{i}" for i in range(rows)]
    return Shown(names, columns, phi, np.full(phi.shape, 0.01), base, base + phi.sum(axis=1), ids, "p", False, 7)


def marks(spec: Any) -> int:
    return sum(value is not None for trace in spec["data"] for value in trace["x"])


def every(shown: Shown) -> list[drawn.Figure]:
    return [
        drawn.importance_figure(shown),
        drawn.beeswarm_figure(shown),
        drawn.row_figure(shown, 1),
        drawn.dependence_figure(shown, 0),
        drawn.dependence_figure(shown, 1),
        drawn.decision_figure(shown, 1),
    ]


def test_no_figure_has_more_marks_than_a_browser_draws_at_once_and_it_says_what_it_left_out() -> None:
    for figure in every(data(3_000)):
        assert marks(figure.spec) <= figures.MOST_POINTS + 50
        # text of figures is data: NaN and infinity are no JSON, markup is no text
        text = json.dumps(figure.spec, allow_nan=False)
        assert "<i>" not in text
        assert "scattergl" not in text
    assert "416 of 3000 rows are drawn" in drawn.beeswarm_figure(data(3_000)).caption
    assert "rows are drawn" not in drawn.beeswarm_figure(data(100)).caption


def test_the_same_results_give_the_same_figures() -> None:
    for one, two in zip(every(data(900)), every(data(900)), strict=True):
        assert one == two


def test_marks_lie_at_their_contributions_and_within_their_lines() -> None:
    shown = data(200, features=4)
    spec = drawn.beeswarm_figure(shown).spec
    found = sorted(x for trace in spec["data"] for x in trace["x"])
    assert found == pytest.approx(sorted(shown.phi.ravel().tolist()), rel=1e-4)
    across = [abs(y - round(y)) for trace in spec["data"] for y in trace["y"]]
    assert max(across) < 0.5


def test_text_and_missing_values_have_no_place_on_the_scale() -> None:
    shown = data(50, features=3)
    shown.columns[2][:10] = [None] * 10
    grey, coloured = drawn.beeswarm_figure(shown).spec["data"]
    assert (len(grey["x"]), len(coloured["x"])) == (50 + 10, 50 + 40)
    assert "Text and groups are grey" in drawn.beeswarm_figure(shown).caption


def test_the_companion_is_the_feature_that_it_depends_on_and_none_is_made_up() -> None:
    shown = data(300)
    assert figures.companion(shown.columns, 0, shown.phi[:, 0]) == 1
    assert figures.companion(shown.columns, 0, shown.phi[:10, 0]) is None
    constant: Floats = np.zeros(300)
    assert figures.companion(shown.columns, 0, constant) is None


def test_rows_without_a_value_are_left_out_of_the_dependence_and_counted() -> None:
    shown = data(40, features=3)
    shown.columns[0][:5] = [None] * 5
    figure = drawn.dependence_figure(shown, 0)
    assert marks(figure.spec) == 35
    assert "left out: 5" in figure.caption
    assert len(figure.rows) == 35


def test_every_line_of_the_decision_figure_ends_at_its_prediction() -> None:
    shown = data(30)
    spec = drawn.decision_figure(shown, 4).spec
    strong = spec["data"][-1]
    assert strong["x"][0] == pytest.approx(0.25)
    assert strong["x"][-2] == pytest.approx(shown.fx[4], rel=1e-4)
    assert strong["line"]["width"] > spec["data"][0]["line"]["width"]
    ends = [
        x
        for trace in spec["data"][:-1]
        for x, after in zip(trace["x"], [*trace["x"][1:], None], strict=True)
        if after is None and x is not None
    ]
    assert sorted(ends) == pytest.approx(sorted(shown.fx.tolist()), rel=1e-4)
    assert len(spec["data"]) <= 9, "one trace for each line takes a browser a tenth of a second"


def test_a_row_beyond_those_that_are_drawn_is_drawn_all_the_same() -> None:
    shown = data(2_000)
    kept = figures.drawn_rows(2_000, figures.SHOWN + 1, seed=7)
    missing = int(np.setdiff1d(np.arange(2_000), kept)[0])
    spec = drawn.decision_figure(shown, missing).spec
    assert spec["data"][-1]["x"][-2] == pytest.approx(shown.fx[missing], rel=1e-4)


def test_words_name_the_features_with_their_sizes_and_directions() -> None:
    shown = data(200)
    bars = drawn.importance_figure(shown).finding
    assert bars.startswith("Largest mean contributions: f0 0.")
    assert "and 9 more features" in bars
    assert "f0 from −" in drawn.beeswarm_figure(shown).finding
    assert "higher values raise it" in drawn.beeswarm_figure(shown).finding
    assert "It goes with f1." in drawn.dependence_figure(shown, 0).finding
    assert "by category" in drawn.dependence_figure(shown, 1).finding
    row = drawn.row_figure(shown, 1).finding
    assert row.startswith("From average 0.25 to prediction ")
    assert "± 0.02" in row


@pytest.mark.parametrize(("sign", "word"), [(1, "above"), (-1, "below")])
def test_one_row_in_a_sentence(sign: int, word: str) -> None:
    shown = data(3, features=3)
    shown.phi[0] = [0.2 * sign, -0.05 * sign, 0.0]
    shown.fx[0] = 0.25 + shown.phi[0].sum()
    text = spoken.told(shown, 0)
    assert f"{word} the average of 0.25" in text
    assert "pulls the other way" in text
    shown.phi[1], shown.fx[1] = 0.0, 0.25
    assert "nothing moves it far" in spoken.told(shown, 1)


def test_a_waterfall_ends_at_the_prediction_and_its_axis_holds_every_whisker() -> None:
    shown = data(5)
    spec = drawn.row_figure(shown, 2).spec
    fall, whiskers = spec["data"][:2]
    assert fall["base"] + sum(fall["x"]) == pytest.approx(shown.fx[2])
    low, high = spec["layout"]["xaxis"]["range"]
    reach = zip(whiskers["x"], whiskers["error_x"]["array"], strict=True)
    assert all(low < x - error and x + error < high for x, error in reach)
