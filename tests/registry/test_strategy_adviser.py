"""Which strategy fits: the whole table of answers, rows checked by hand, the page and the API."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.test import Client

from registry import strategy_words
from registry.models import Strategy
from registry.models.deployments import SHARING_STRATEGIES
from registry.strategy_advice import KINDS, MEETS, NEEDS, ONLINE, TRIALS, advise


def every_answer() -> list[tuple[str, ...]]:
    """All 2,048 ways to answer the questions."""
    return [tuple(n for n, yes in zip(NEEDS, said, strict=True) if yes) for said in product((0, 1), repeat=len(NEEDS))]


def test_every_strategy_and_every_need_is_known_and_has_words() -> None:
    assert set(MEETS) == set(Strategy.values)
    assert set().union(*MEETS.values()) <= set(NEEDS)
    assert set(strategy_words.NEEDS) == set(NEEDS) == set(strategy_words._LACKS)
    assert set(strategy_words.SAYS) == set(MEETS)
    assert set(strategy_words.KINDS) == set(KINDS)


def test_whatever_is_answered_every_strategy_is_told_once_and_fits_exactly_when_it_meets_all() -> None:
    for needs in every_answer():
        advice = advise(needs)
        told = [*advice.fitting, *advice.others]
        assert sorted(each.strategy for each in told) == sorted(ONLINE)
        assert {each.strategy for each in advice.fitting} == {name for name in ONLINE if MEETS[name] >= set(needs)}
        assert [len(each.lacks) for each in advice.others] == sorted(len(each.lacks) for each in advice.others)
        assert strategy_words.conclusion(advice)


def test_asking_for_more_never_makes_a_strategy_fit() -> None:
    for needs in every_answer():
        fitting = {each.strategy for each in advise(needs).fitting}
        for more in set(NEEDS) - set(needs):
            assert {each.strategy for each in advise((*needs, more)).fitting} <= fitting


def test_what_only_tries_a_version_says_what_follows_and_that_reaches_everybody() -> None:
    for needs in every_answer():
        for each in (*advise(needs).fitting, *advise(needs).others):
            assert bool(each.then) == (each.strategy in TRIALS)
            assert each.then not in (*TRIALS, "ab", "bandit")


@pytest.mark.parametrize(
    ("needs", "best"),
    [
        ((), "all_at_once"),
        (("first",), "all_at_once"),
        (("no_downtime",), "rolling"),
        (("no_downtime", "no_spare"), "rolling"),
        (("no_downtime", "one_version"), "blue_green"),
        (("fast_rollback",), "blue_green"),
        (("fast_rollback", "no_spare"), "canary"),
        (("real_traffic",), "canary"),
        (("real_traffic", "nobody_affected"), "shadow"),
        (("real_traffic", "one_version", "measure_effect"), "champion_challenger"),
        (("measure_effect", "no_spare"), "ab"),
        (("earn_while_learning",), "bandit"),
        (("decides_on_people", "real_traffic"), "champion_challenger"),
        (("decides_on_people", "measure_effect", "outcomes_late"), "champion_challenger"),
        (("earn_while_learning", "outcomes_late"), ""),
        (("earn_while_learning", "decides_on_people"), ""),
        (("first", "real_traffic"), ""),
        (("nobody_affected", "real_traffic", "no_spare"), ""),
    ],
)
def test_rows_checked_by_hand(needs: tuple[str, ...], best: str) -> None:
    fitting = advise(needs).fitting
    assert (fitting[0].strategy if fitting else "") == best


def test_a_strategy_that_leaves_everybody_on_one_version_never_shares_answers() -> None:
    for name in ONLINE:
        if "one_version" in MEETS[name] and name in SHARING_STRATEGIES:
            assert name in TRIALS, "it runs beside the other, and its answers reach nobody"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "online"])
def test_how_it_predicts_leaves_one_strategy_and_what_it_does_not_do_is_said(kind: str) -> None:
    (only,) = advise(NEEDS, kind).fitting
    assert (only.strategy, set(only.lacks)) == (kind, set(NEEDS) - MEETS[kind])


@pytest.mark.parametrize(("needs", "kind"), [(("speed",), "online"), ((), "quantum")])
def test_what_is_not_known_is_refused(needs: tuple[str, ...], kind: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        advise(needs, kind)


def test_the_page_concludes_and_leads_to_the_request(db: None, client_for: Any) -> None:
    page = client_for("sami").get("/deployments/adviser?kind=online&needs=real_traffic&needs=nobody_affected")
    text = page.content.decode()
    assert page.status_code == 200
    assert "Shadow to try it; then All at once to bring it to everybody." in text
    assert "/promotions/new?strategy=shadow" in text
    assert "Against it:" in text
    request = client_for("yusuf").get("/promotions/new?strategy=shadow").content.decode()
    assert '<option value="shadow" selected>' in request


def test_before_anything_is_asked_nothing_is_advised_and_nonsense_is_400(db: None, client_for: Any) -> None:
    assert "What fits" not in client_for("sami").get("/deployments/adviser").content.decode()
    assert client_for("sami").get("/deployments/adviser?kind=quantum").status_code == 400
    assert client_for("sami").get("/deployments/adviser?kind=online&needs=speed").status_code == 400


def test_the_api_says_the_same_and_names_what_it_knows(db: None, api_for: Any) -> None:
    client: Client = api_for("ci")
    told = client.get("/api/v1/strategy-advice?need=real_traffic&need=nobody_affected").json()
    assert [each["strategy"] for each in told["fitting"]] == ["shadow", "champion_challenger"]
    assert told["others"][0]["against"]
    wrong = client.get("/api/v1/strategy-advice?need=speed")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "advice.unknown")
    assert "no_downtime" in wrong.json()["detail"]
