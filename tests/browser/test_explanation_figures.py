"""Every figure of an explanation in a real browser: drawn, told to those who hear it, at home on a telephone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator

from tests.browser.conftest import Site
from tests.browser.watch import Watched, watching
from tests.explain.conftest import register_endpoint, sample
from tests.explain.servers import serving

#: Where pictures go for a person to look at; nowhere by default.
SHOTS = os.environ.get("FIGURE_SHOTS", "")
#: Rows enough for a companion of the dependence figure.
ROWS = 60
PER_ROW = {"figure-bars", "figure-beeswarm", "figure-dependence", "figure-row", "figure-decision"}


@dataclass(frozen=True)
class Explained:
    """Addresses of finished explanations, and the names of the figures that each must show."""

    pages: dict[str, tuple[str, set[str]]]

    def __iter__(self) -> Iterator[tuple[str, str, set[str]]]:
        return ((name, path, figures) for name, (path, figures) in self.pages.items())


def _made() -> dict[str, Any]:
    """Finished jobs: SHAP, the same again, with groups, LIME, and of one row."""
    from explain import jobs, queries, work

    with serving() as (url, _server):
        endpoint = register_endpoint(url, name="figures")
        asked: dict[str, Any] = {
            "rows": {f"applicant-{i}": row for i, row in enumerate(sample(ROWS))},
            "background": sample(40, seed=9),
            "seed": 7,
            "by": jobs.WORKER,
        }
        few = {name: asked["rows"][name] for name in list(asked["rows"])[:6]}
        made = {
            "shap": jobs.request(endpoint.version, endpoint, **asked),
            "groups": jobs.request(endpoint.version, endpoint, groups={"Person": ["age", "sector"]}, **asked),
            "lime": jobs.request(endpoint.version, endpoint, **{**asked, "rows": few, "method": "lime"}),
            "single": jobs.request(
                endpoint.version, endpoint, **{**asked, "rows": {"applicant-3": few["applicant-3"]}}
            ),
        }
        for job in made.values():
            assert work.perform(job.pk) == "finished"
        made["again"] = jobs.rerun(queries.find(made["shap"].pk), by=jobs.WORKER)
        assert work.perform(made["again"].pk) == "finished"
    return made


@pytest.fixture(scope="module")
def explained(site: Site) -> Explained:
    """Explanations to look at."""
    made = {name: f"/explanations/{job.pk}" for name, job in _made().items()}
    pair = "?champion={}&challenger={}".format(*(made[name].rpartition("/")[2] for name in ("shap", "again")))
    return Explained(
        {
            "shap": (f"{made['shap']}?row=applicant-3", PER_ROW),
            "category": (f"{made['shap']}?feature=sector", PER_ROW),
            "groups": (made["groups"], PER_ROW),
            "lime": (made["lime"], {"figure-bars", "figure-beeswarm", "figure-row"}),
            "single": (made["single"], {"figure-bars", "figure-row"}),
            "compare": (f"/explanations/compare{pair}", {"figure-change"}),
        }
    )


def _must_be_drawn(watched: Watched, names: set[str]) -> None:
    """Each figure is an SVG with marks inside its plot, has its finding for a screen reader, and a table."""
    places = watched.tab.locator("[data-figure]")
    assert {place.get_attribute("data-figure") for place in places.all()} == names
    for place in names:  # all of them first: a figure that grows moves those below it
        watched.tab.locator(f"[data-figure={place}][data-drawn]").wait_for()
    for place in places.all():
        marks = place.locator(".point path, .points path, .bars path, .lines path, .scatterlayer .js-line")
        assert marks.count() > 0, place.get_attribute("data-figure")
        _must_lie_inside(place, marks)
        said = place.get_attribute("aria-label") or ""
        assert place.get_attribute("role") == "img"
        assert any(letter.isdigit() for letter in said), f"the finding names no size: {said}"
        assert said != place.locator("xpath=..").locator("figcaption").inner_text()
        assert place.locator("xpath=..").locator("details table tbody tr").count() > 0
        assert place.locator("canvas").count() == 0, "WebGL is missing in many offices"


def _must_lie_inside(place: Locator, marks: Locator) -> None:
    plot, mark = place.bounding_box(), marks.first.bounding_box()
    assert plot is not None
    assert mark is not None
    assert plot["x"] - 1 <= mark["x"] <= plot["x"] + plot["width"] + 1
    assert plot["y"] - 1 <= mark["y"] <= plot["y"] + plot["height"] + 1


def _shot(watched: Watched, name: str) -> None:
    if SHOTS:
        watched.tab.wait_for_timeout(300)
        watched.tab.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("name", ["shap", "category", "groups", "lime", "single", "compare"])
def test_every_figure_is_drawn_light_and_dark_and_on_a_telephone(
    browser: Browser, site: Site, explained: Explained, name: str
) -> None:
    path, figures = explained.pages[name]
    with watching(browser, site, "yusuf") as watched:
        watched.open(path)
        _must_be_drawn(watched, figures)
        _shot(watched, f"{name}-light")
        watched.must_be_accessible()
        light = _colours(watched)
        watched.tab.emulate_media(color_scheme="dark")
        # the figures are drawn again when the browser gets to it; one that never is ends here by its time-out
        watched.tab.wait_for_function(f"before => JSON.stringify(({_COLOURS})()) !== before", arg=_as_json(light))
        watched.must_be_accessible(only_colours=True)
        _shot(watched, f"{name}-dark")
        watched.must_fit(320)
        for figure in figures:
            watched.tab.locator(f"[data-figure={figure}][data-drawn=narrow]").wait_for()
        _shot(watched, f"{name}-320")
        _must_be_drawn(watched, figures)
        watched.must_be_quiet()


def test_figures_run_from_left_to_right_in_arabic_too(browser: Browser, site: Site, explained: Explained) -> None:
    path, figures = explained.pages["shap"]
    with watching(browser, site, "yusuf") as watched:
        watched.tab.context.add_cookies([{"name": "django_language", "value": "ar", "url": site.url}])
        watched.open(path)
        assert watched.tab.evaluate("document.documentElement.dir") == "rtl"
        _must_be_drawn(watched, figures)
        ticks = watched.tab.locator("[data-figure=figure-row] .xtick text")
        places = [box["x"] for box in (tick.bounding_box() for tick in ticks.all()) if box]
        assert len(places) > 2
        assert places == sorted(places), "the axis of values grows to the right"
        for place in watched.tab.locator("[data-figure]").all():
            plot = place.bounding_box()
            labels = [tick.bounding_box() for tick in place.locator(".ytick text").all()]
            assert all(plot and box and box["x"] >= plot["x"] for box in labels), "labels are whole"
        _shot(watched, "shap-ar")
        watched.must_fit(320)
        _shot(watched, "shap-ar-320")
        watched.must_be_quiet()


#: The colours of the marks, as the browser draws them.
_COLOURS = """() => [...document.querySelectorAll(
    '[data-figure=figure-bars] .bars path, [data-figure=figure-change] .points path'
)].map((mark) => mark.style.fill)"""


def _colours(watched: Watched) -> list[str]:
    found: list[str] = watched.tab.evaluate(_COLOURS)
    assert found
    return found


def _as_json(colours: list[str]) -> str:
    """As JSON.stringify writes it."""
    return json.dumps(colours, separators=(",", ":"))
