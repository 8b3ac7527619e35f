"""The shell by keyboard, by pointer and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests import personas
from tests.browser.conftest import Site
from tests.browser.watch import watching

FOCUSED = "document.activeElement.textContent.trim()"


def test_the_first_tab_stop_skips_to_the_content(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/find")
        watched.tab.keyboard.press("Tab")
        assert watched.tab.evaluate(FOCUSED) == "Skip to the content"
        expect(watched.tab.locator(".skip")).to_be_in_viewport()
        watched.tab.keyboard.press("Enter")
        assert watched.tab.evaluate("document.activeElement.id") == "main"


def test_control_k_opens_find_and_enter_goes_there(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/find")
        watched.tab.keyboard.press("Control+k")
        dialog = watched.tab.locator("#palette")
        expect(dialog).to_be_visible()
        watched.tab.keyboard.type("credit-scoring/2")
        expect(dialog.locator(".result.selected")).to_contain_text("credit-scoring/2")
        watched.must_be_accessible()
        watched.picture("palette")
        watched.tab.keyboard.press("Enter")
        watched.tab.wait_for_url("**/models/credit-scoring/2")
        watched.must_be_quiet()


def test_find_says_when_nothing_is_found_and_escape_closes_it(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/find")
        watched.tab.keyboard.press("Control+k")
        watched.tab.keyboard.type("zzzz")
        expect(watched.tab.locator("#palette-results")).to_contain_text("Nothing found.")
        watched.tab.keyboard.press("Escape")
        expect(watched.tab.locator("#palette")).to_be_hidden()


def test_the_toggle_changes_the_colours_at_once_and_for_the_next_page(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla", color_scheme="light") as watched:
        watched.open("/find")
        toggle = watched.tab.locator("[data-theme-toggle]")
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        light = watched.tab.evaluate(ground)
        toggle.click()
        assert watched.tab.evaluate("document.documentElement.dataset.theme") == "light"
        toggle.click()
        assert watched.tab.evaluate("document.documentElement.dataset.theme") == "dark"
        assert watched.tab.evaluate(ground) != light
        watched.open("/find")
        assert watched.tab.evaluate("document.documentElement.dataset.theme") == "dark"
        watched.must_be_quiet()


def test_j_and_k_walk_through_rows(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/find?q=credit")
        links = watched.tab.locator("main .rows a")
        watched.tab.keyboard.press("j")
        expect(links.nth(0)).to_be_focused()
        watched.tab.keyboard.press("j")
        expect(links.nth(1)).to_be_focused()
        watched.tab.keyboard.press("k")
        expect(links.nth(0)).to_be_focused()
        watched.tab.keyboard.press("Enter")
        watched.tab.wait_for_url("**/models/credit-scoring")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_the_sidebar_opens_from_its_button_on_a_telephone(browser: Browser, site: Site, scripts: bool) -> None:
    with watching(browser, site, "layla", java_script_enabled=scripts) as watched:
        watched.tab.set_viewport_size({"width": 320, "height": 640})
        watched.tab.goto(site.url + "/find?q=zzzz")
        link = watched.tab.get_by_role("link", name="Lineage")
        expect(link).to_be_hidden()
        watched.tab.get_by_role("button", name="Menu").click()
        expect(link).to_be_visible()
        if scripts:
            watched.picture("sidebar-320")


def test_every_control_of_the_shell_is_large_enough_to_hit(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/find?q=credit")
        small = watched.tab.evaluate(
            """() => [...document.querySelectorAll(".sidebar a, .topbar a, .topbar button, .btn, .copy, .crumbs a")]
                .filter((node) => node.checkVisibility())
                .map((node) => [node.textContent.trim(), node.getBoundingClientRect()])
                .filter(([, box]) => box.width && (box.width < 24 || box.height < 24))
                .map(([text]) => text)"""
        )
        assert small == []


def test_digests_are_whole_and_chrome_is_gone_on_paper(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla") as watched:
        watched.open("/models/credit-scoring/2")
        watched.tab.emulate_media(media="print")
        expect(watched.tab.locator(".sidebar")).to_be_hidden()
        expect(watched.tab.locator(".topbar")).to_be_hidden()
        expect(watched.tab.locator(".digest-rest").first).to_be_visible()
        paper = watched.tab.pdf(prefer_css_page_size=True)
        assert paper.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page[^s]", paper)) <= 8


def test_signing_in_works_without_scripts(browser: Browser, site: Site) -> None:
    with watching(browser, site, java_script_enabled=False) as watched:
        tab = watched.tab
        tab.goto(site.url + "/promotions")
        assert "/login" in tab.url
        tab.get_by_label("Username").fill("layla")
        tab.get_by_label("Password").fill(personas.PASSWORD)
        tab.get_by_role("button", name="Sign in").click()
        assert tab.url.endswith("/promotions")


def test_signing_a_promotion_works_without_scripts(browser: Browser, site: Site) -> None:
    with watching(browser, site, "omar", java_script_enabled=False) as watched:
        tab = watched.tab
        address = f"{site.url}/promotions/{site.world.promotions[0]}"
        tab.goto(address)
        form = tab.locator("form", has=tab.get_by_role("button", name="Sign off"))
        form.locator("textarea").fill("Residency and fairness reviewed.")
        form.locator("input[type=password]").fill("not the password at all")
        form.get_by_role("button", name="Sign off").click()
        expect(tab.locator(".errors, .message-error, .field-error").first).to_be_visible()
        tab.goto(address)
        form.locator("textarea").fill("Residency and fairness reviewed.")
        form.locator("input[type=password]").fill(personas.PASSWORD)
        form.get_by_role("button", name="Sign off").click()
        expect(tab.locator(".timeline")).to_contain_text("Omar Nasser signed off")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_is_accessible_and_fits_a_telephone(browser: Browser, site: Site, theme: str) -> None:
    with watching(browser, site, color_scheme=theme) as watched:
        watched.open("/login")
        watched.must_be_accessible()
        watched.picture(f"login-{theme}")
        watched.must_fit(320)
        watched.picture(f"login-{theme}-320")
        watched.must_be_quiet()


def test_every_theme_and_language_can_be_chosen_without_scripts(browser: Browser, site: Site) -> None:
    with watching(browser, site, "layla", java_script_enabled=False) as watched:
        tab = watched.tab
        tab.goto(site.url + "/find?q=credit")
        tab.locator("[data-theme-toggle]").click()
        assert tab.url.endswith("/find?q=credit")
        assert tab.locator("html").get_attribute("data-theme") == "light"
        tab.locator(".user-button").click()
        tab.get_by_role("button", name="العربيّة").click()
        assert tab.url.endswith("/find?q=credit")
        assert tab.locator("html").get_attribute("dir") == "rtl"
