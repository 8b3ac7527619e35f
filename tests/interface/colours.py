"""From the tokens of ``static/css/tokens.css`` to WCAG contrast ratios, in plain arithmetic."""

from __future__ import annotations

import math
import re
from pathlib import Path

TOKENS = Path(__file__).parents[2] / "static" / "css" / "tokens.css"
Rgb = tuple[float, float, float]

_OKLCH = r"oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)"
_PAIR = re.compile(rf"--([\w-]+): light-dark\({_OKLCH}, {_OKLCH}\);")
_SINGLE = re.compile(rf"--([\w-]+): {_OKLCH};")


def linear_srgb(lightness: float, chroma: float, hue: float) -> Rgb:
    """Linear-light sRGB of an OKLCH colour (lightness in 0..1, hue in degrees), clipped to the gamut as browsers do.

    Source: Björn Ottosson, "A perceptual color space for image processing", 2020.
    """
    a = chroma * math.cos(math.radians(hue))
    b = chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (min(1.0, max(0.0, channel)) for channel in channels)
    return red, green, blue


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of WCAG 2.2, 1 to 21."""
    first, second = (0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (one, other))
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def tokens() -> dict[str, tuple[Rgb, Rgb]]:
    """Every colour token as (light, dark)."""
    text = TOKENS.read_text("utf-8")
    found: dict[str, tuple[Rgb, Rgb]] = {}
    for name, *numbers in _PAIR.findall(text):
        values = [float(number) for number in numbers]
        found[name] = (
            linear_srgb(values[0] / 100, values[1], values[2]),
            linear_srgb(values[3] / 100, values[4], values[5]),
        )
    for name, *numbers in _SINGLE.findall(text):
        values = [float(number) for number in numbers]
        colour = linear_srgb(values[0] / 100, values[1], values[2])
        found[name] = (colour, colour)
    return found
