"""WCAG 2.2 AA by arithmetic: axe cannot judge text in SVG, borders of controls or states on hover."""

from __future__ import annotations

import pytest

from tests.interface.colours import contrast, linear_srgb, tokens

GROUNDS = ("page", "surface", "surface-2", "surface-3")
TONES = ("positive", "caution", "critical", "info", "neutral")
#: Text on ground: 4.5 to 1 (success criterion 1.4.3).
TEXT = [
    *[("text", ground) for ground in GROUNDS],
    *[("text-2", ground) for ground in ("page", "surface", "surface-2")],
    *[("accent", ground) for ground in ("page", "surface", "surface-2", "accent-soft")],
    *[(tone, f"{tone}-soft") for tone in TONES],
    *[(tone, ground) for tone in TONES for ground in ("page", "surface", "surface-2")],
    *[("text", f"{tone}-soft") for tone in TONES],
    ("text", "accent-soft"),
    ("text-2", "accent-soft"),
    ("on-accent", "accent-fill"),
    ("on-accent", "accent-fill-hover"),
    ("on-accent", "critical-fill"),
]
#: Borders of controls, focus rings, lines of graphs: 3 to 1 (success criterion 1.4.11).
GRAPHICS = [
    *[("line-strong", ground) for ground in ("page", "surface", "surface-2")],
    *[("accent", ground) for ground in GROUNDS],
    ("accent-fill", "surface"),
    *[(mark, "surface") for mark in ("up", "down", "low", "mid", "high")],
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT)
def test_text_can_be_read_on_its_ground(text: str, ground: str, theme: str) -> None:
    colours = tokens()
    side = ("light", "dark").index(theme)
    assert contrast(colours[text][side], colours[ground][side]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), GRAPHICS)
def test_controls_and_graphics_stand_out(mark: str, ground: str, theme: str) -> None:
    colours = tokens()
    side = ("light", "dark").index(theme)
    assert contrast(colours[mark][side], colours[ground][side]) >= 3


def test_the_arithmetic_agrees_with_known_answers() -> None:
    white, black = linear_srgb(1, 0, 0), linear_srgb(0, 0, 0)
    assert contrast(white, black) == pytest.approx(21, abs=0.01)
    # oklch(0.627955 0.257683 29.2339) is sRGB #ff0000, whose ratio to white is 3.998 (WCAG examples)
    red = linear_srgb(0.627955, 0.257683, 29.2339)
    assert red == pytest.approx((1, 0, 0), abs=1e-4)
    assert contrast(red, white) == pytest.approx(3.998, abs=0.002)
