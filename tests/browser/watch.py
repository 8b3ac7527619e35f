"""What a tab must not do while it shows a page, and what axe says about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from config.environment import STATE
from tests.browser.conftest import Site

AXE = Axe()
#: What looks at colours; every other rule reads the document, which is the same in both themes.
COLOURS = ["color-contrast", "link-in-text-block"]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SCREENSHOTS = Path(STATE) / "screenshots" if os.environ.get("SCREENSHOTS") else None
_COUNT_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Watched:
    """A tab whose console, requests and policy violations are kept."""

    def __init__(self, tab: Tab, site: Site) -> None:
        self.tab = tab
        self.site = site
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        tab.add_init_script(_COUNT_VIOLATIONS)
        tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: self._request(request.url))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != urlsplit(self.site.url).netloc:
            self.elsewhere.append(url)

    def open(self, path: str, status: int = 200) -> None:
        """Go to ``path``; the answer must have ``status``."""
        answer = self.tab.goto(self.site.url + path)
        assert answer is not None
        assert answer.status == status, f"{path} answered {answer.status}"
        self.tab.wait_for_load_state("load")

    def must_be_quiet(self, status: int = 200) -> None:
        """No console error, no policy violation, no request to another host."""
        expected = f"the server responded with a status of {status}"
        errors = [error for error in self.errors if status == 200 or expected not in error]
        assert errors == [], errors
        violations = self.tab.evaluate("window.violations")
        assert violations == [], violations
        assert self.elsewhere == [], self.elsewhere

    def must_be_accessible(self, *, only_colours: bool = False) -> None:
        """No violation of WCAG 2.2 A or AA that axe can find; ``only_colours``: of the rules that a theme can break."""
        rules = {"type": "rule", "values": COLOURS} if only_colours else {"type": "tag", "values": WCAG}
        found = AXE.run(self.tab, options={"runOnly": rules, "resultTypes": ["violations"]})
        violations = [
            f"{rule['id']}: {', '.join(str(node['target']) for node in rule['nodes'])}"
            for rule in found.response["violations"]
        ]
        assert violations == [], "\n".join(violations)

    def must_fit(self, width: int) -> None:
        """No sideways scroll at ``width`` CSS pixels; what is wide scrolls inside itself."""
        self.tab.set_viewport_size({"width": width, "height": 800})
        wide = self.tab.evaluate(
            """() => {
                const root = document.documentElement;
                if (root.scrollWidth <= root.clientWidth) return [];
                const out = [...document.querySelectorAll("body *")].filter((node) => {
                    const box = node.getBoundingClientRect();
                    return box.width && (box.right > root.clientWidth + 1 || box.left < -1);
                });
                return [root.scrollWidth, ...out.slice(0, 5).map((node) => node.outerHTML.slice(0, 120))];
            }"""
        )
        assert wide == [], wide

    def must_show_whole_tables(self, width: int) -> None:
        """At ``width`` CSS pixels no table has to be scrolled sideways."""
        self.tab.set_viewport_size({"width": width, "height": 800})
        cut = self.tab.evaluate(
            """() => [...document.querySelectorAll(".scroll-x:has(> table)")]
                .filter((node) => node.scrollWidth > node.clientWidth + 1)
                .map((node) => `${node.getAttribute("aria-label")} ${node.scrollWidth} > ${node.clientWidth}`)"""
        )
        assert cut == [], cut

    def picture(self, name: str) -> None:
        """A full-page picture in the state directory, when SCREENSHOTS is set."""
        if SCREENSHOTS is not None:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            self.tab.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@contextmanager
def watching(browser: Browser, site: Site, username: str = "", **options: Any) -> Iterator[Watched]:
    """A watched tab of its own, signed in as ``username`` when one is named."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    try:
        if username:
            site.login(context, username)
        yield Watched(context.new_page(), site)
    finally:
        context.close()
