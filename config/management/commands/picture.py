"""``manage.py picture``: the README's picture, taken from the running demo by Chromium."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.programs import ROOT


class Command(BaseCommand):
    """Sign in as one of the story's people and photograph a page."""

    help = "Take a screenshot of a page of the running demo (needs Chromium and the development packages of the lock)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which page, as whom, where to."""
        parser.add_argument("--url", default="http://127.0.0.1:8000")
        parser.add_argument("--page", default="", help="path of the page; default: the promotion in review")
        parser.add_argument("--user", default="omar")
        parser.add_argument("--to", type=Path, default=ROOT / "docs" / "promotion.png")
        parser.add_argument("--dark", action="store_true")
        parser.add_argument("--width", type=int, default=1280)

    def handle(self, *args: Any, **options: Any) -> None:
        """Take it. The password comes from PICTURE_PASSWORD or the keyboard, never from the command line."""
        from playwright.sync_api import sync_playwright

        chromium = shutil.which("chromium")
        if not chromium:
            raise CommandError("Chromium is not installed. On Debian or Ubuntu: apt-get install chromium")
        password = os.environ.get("PICTURE_PASSWORD") or getpass.getpass(f"Password of {options['user']}: ")
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=flags)
            scheme: Any = "dark" if options["dark"] else "light"
            size: Any = {"width": options["width"], "height": 900}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(f"{options['url']}/login")
            page.fill("input[name=username]", options["user"])
            page.fill("input[name=password]", password)
            page.press("input[name=password]", "Enter")
            page.wait_for_url(lambda url: "/login" not in url)
            page.goto(options["url"] + (options["page"] or "/review"))
            if not options["page"]:
                page.locator("main a[href^='/promotions/']").first.click()
            page.wait_for_load_state("networkidle")
            options["to"].parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(options["to"]), full_page=True)
            browser.close()
        self.stdout.write(f"Wrote {options['to']}")
