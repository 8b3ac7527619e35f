"""J13: a compliance officer finds what happened, opens it, and takes home exactly the rows that the screen counts."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest

from tests.stack import RunningStack, eventually

SEARCHES = (
    {"model": "credit-scoring"},
    {"environment": "prod-uae"},
    {"event": "promotion.*"},
    {"event": "signoff.given", "model": "credit-scoring"},
    {"since": "2020-01-01", "until": "2020-12-31"},
    {"since": "2020-01-01", "environment": "prod-uae", "event": "decision.recorded"},
)


def counted(page: str) -> int:
    """The number in the first sentence of the Log page."""
    lede = re.search(r'class="lede">(.*?)</p>', page, re.S)
    assert lede, "the page has no first sentence"
    if "No entry matches" in lede.group(1):
        return 0
    found = re.search(r"([\d,]+) entr(?:y|ies) match", lede.group(1))
    assert found, lede.group(1)
    return int(found.group(1).replace(",", ""))


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: "+".join(search))
def test_the_exported_rows_are_as_many_as_the_screen_counts(stack: RunningStack, search: dict[str, str]) -> None:
    browser = stack.browser("omar")
    assert eventually(lambda: "no number yet" not in browser.get("/log", params=search).text)
    page = browser.get("/log", params=search).text
    rows = list(csv.DictReader(io.StringIO(browser.get("/log.csv", params=search).text)))
    assert len(rows) == counted(page)
    for name in {"model", "environment"} & search.keys():
        assert {row[name] for row in rows} <= {search[name]}
    assert (len(rows) == 0) == (search.get("until") == "2020-12-31")


def test_an_actor_is_chosen_from_those_whom_the_log_knows(stack: RunningStack) -> None:
    browser = stack.browser("omar")
    page = browser.get("/log").text
    layla = re.search(r'<option value="(user:[^"]+)"[^>]*>Layla Haddad', page)
    assert layla
    search = {"actor": layla.group(1), "event": "signoff.given"}
    found = browser.get("/log", params=search).text
    rows = list(csv.DictReader(io.StringIO(browser.get("/log.csv", params=search).text)))
    assert len(rows) == counted(found) >= 1
    assert {row["actor"] for row in rows} == {"Layla Haddad"}


def test_an_entry_tells_its_change_its_request_its_decision_and_who_signed(stack: RunningStack) -> None:
    browser = stack.browser("omar")
    listing = browser.get("/log", params={"event": "alias.moved", "model": "credit-scoring"}).text
    moved = browser.get(_first_entry(listing)).text
    assert "the alias" in html.unescape(moved)
    assert 'id="changes"' in moved
    listing = browser.get("/log", params={"event": "promotion.deployed"}).text
    deployed = browser.get(_first_entry(listing)).text
    for panel in ("changes", "signoffs", "request", "proof"):
        assert f'<section class="panel" id="{panel}"' in deployed, panel
    assert re.search(r'href="/decisions/dec_\w+"', deployed)
    assert "?request=demo-story" in deployed
    assert "Sealed" in deployed


def _first_entry(listing: str) -> str:
    found = re.search(r'<a class="entry" href="(/log/\d+)"', listing)
    assert found, "nothing was found"
    return found.group(1)
