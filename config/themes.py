"""Light, dark, or what the system says: a cookie, so that the first byte of a page already has the right colours."""

from __future__ import annotations

from django.http import HttpRequest

COOKIE = "theme"
THEMES = ("system", "light", "dark")
#: A year, in seconds.
MAX_AGE = 365 * 24 * 3600


def theme_of(request: HttpRequest) -> str:
    """The theme that this browser has chosen; ``system`` without a choice or with one that does not exist."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


def next_theme(theme: str) -> str:
    """What the toggle of the top bar leads to: system, light, dark, system."""
    return THEMES[(THEMES.index(theme) + 1) % len(THEMES)]
