"""The Verify page with a bundle dropped on it, and the banner of a log that does not verify."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from audit import queries
from audit.queries import LogState
from tests.browser.conftest import Site
from tests.browser.watch import watching


@pytest.mark.parametrize("kind", ["good", "flipped", "foreign"])
def test_a_bundle_that_is_chosen_gets_its_verdict_first(
    browser: Browser, site: Site, tmp_path: Path, kind: str
) -> None:
    assert site.world.bundle is not None
    data = bytearray(site.world.bundle.read_bytes() if kind != "foreign" else b"no archive")
    if kind == "flipped":
        data[len(data) // 2] ^= 1
    chosen = tmp_path / "taken-home.zip"
    chosen.write_bytes(data)
    verdict = {"good": "is what was signed", "flipped": "is not what was signed", "foreign": "could not be verified"}
    with watching(browser, site, "omar") as watched:
        watched.open("/verify")
        watched.tab.set_input_files("#bundle", chosen)
        watched.tab.get_by_role("button", name="Verify the bundle").click()
        expect(watched.tab.locator("h1")).to_contain_text(verdict[kind], timeout=60_000)
        assert str(site.world.bundle.parent) not in watched.tab.content()
        assert "bundle.zip is" not in watched.tab.content()
        watched.must_be_accessible()
        watched.must_fit(320)
        watched.picture(f"bundle-{kind}-320")
        watched.must_be_quiet()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_banner_of_a_log_that_does_not_verify_is_read_first(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    state = LogState("failed", 130, datetime.now(UTC), "entry #57: its bytes are missing", 130)
    monkeypatch.setattr(queries, "log_state", lambda: state)
    with watching(browser, site, "omar", color_scheme=theme) as watched:
        watched.open("/log")
        expect(watched.tab.locator("main > .alarm")).to_contain_text("entry #57: its bytes are missing")
        assert "can be changed" not in watched.tab.locator(".lede").inner_text()
        watched.must_be_accessible()
        watched.must_fit(320)
        watched.picture(f"banner-{theme}-320")
