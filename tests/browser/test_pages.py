"""Every page, in a real browser: accessible, quiet, at home on a telephone and from right to left."""

from __future__ import annotations

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Browser

from tests.browser.conftest import Site
from tests.browser.pages import NOT_PAGES, PAGES, Page
from tests.browser.watch import watching

#: CSS pixels between the margins of the sheet that static/css/print.css asks for.
A4 = 673
#: Pages that people take to a meeting, by their names in PAGES.
ON_PAPER = (
    "backtest",
    "deployment",
    "deployments",
    "blast-radius",
    "finding",
    "incident-frozen",
    "incident-open",
    "incidents",
    "model-card",
    "reconciler",
    "version",
    "version-diff",
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_a_page_is_accessible_quiet_and_fits_a_telephone(browser: Browser, site: Site, page: Page) -> None:
    with watching(browser, site, page.username) as watched:
        watched.open(page.at(site.world), page.status)
        for theme in ("light", "dark"):
            watched.tab.emulate_media(color_scheme=theme)
            watched.must_be_accessible(only_colours=theme == "dark")
            watched.picture(f"{page.name}-{theme}")
        watched.must_fit(1280)
        watched.must_fit(320)
        watched.picture(f"{page.name}-320")
        watched.must_be_quiet(page.status)


@each_page
def test_a_page_fits_from_right_to_left(browser: Browser, site: Site, page: Page) -> None:
    with watching(browser, site, page.username) as watched:
        watched.tab.context.add_cookies([{"name": "django_language", "value": "ar", "url": site.url}])
        watched.open(page.at(site.world), page.status)
        assert watched.tab.evaluate("document.documentElement.dir") == "rtl"
        watched.must_fit(1280)
        watched.picture(f"{page.name}-rtl")
        watched.must_fit(320)
        watched.picture(f"{page.name}-rtl-320")


@pytest.mark.parametrize("name", ON_PAPER)
def test_tables_are_whole_on_a_screen_and_on_paper_and_paper_has_no_buttons(
    browser: Browser, site: Site, name: str
) -> None:
    (page,) = [each for each in PAGES if each.name == name]
    with watching(browser, site, page.username) as watched:
        watched.open(page.at(site.world), page.status)
        watched.must_show_whole_tables(1280)
        watched.tab.emulate_media(media="print")
        watched.must_show_whole_tables(A4)
        watched.must_fit(A4)
        shown = [each for each in watched.tab.locator("button, .btn, select, .sidebar").all() if each.is_visible()]
        assert shown == []
        watched.picture(f"{page.name}-print")


def _page_views() -> set[str]:
    """Names of all addresses outside the API that answer a page without naming a change."""
    names: set[str] = set()

    def walk(patterns: list[URLPattern | URLResolver], prefix: str, space: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, route, space or (pattern.namespace or ""))
            elif pattern.name and space and not route.startswith("api/"):
                names.add(f"{space}:{pattern.name}")

    walk(get_resolver().url_patterns, "", "")
    return names


def test_every_page_is_walked_or_named_as_none() -> None:
    listed = {page.view for page in PAGES if page.view}
    assert _page_views() - listed - NOT_PAGES == set()
    assert (listed | NOT_PAGES) - _page_views() == set()
    assert listed & NOT_PAGES == set()
