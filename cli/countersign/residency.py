"""Where the data of what serves lie, and whether that is covered."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Mapping
from typing import Any

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop

COLUMNS = ["state", "kind", "subject", "region", "claimed_region", "country", "perimeter", "classification", "people"]
COLUMNS += ["safeguards", "safeguard_until", "rules", "message", "remedy", "environments", "deployments", "denied"]
#: A spreadsheet reads a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def show(arguments: argparse.Namespace, shape: str) -> int:
    """Show every flow of what serves: where it lies, under which law, and what is not covered."""
    settings.fill(arguments, os.environ, ("url", "token"))
    answer = asking.get(arguments, "/api/v1/residency")
    rows, undecided = answer.get("results"), answer.get("undecided")
    if not isinstance(rows, list) or not isinstance(undecided, list):
        raise Stop(Exit.UNDECIDED, "The answer has no results.")
    flows = [each for each in rows if isinstance(each, dict)]
    unknown = [_undecided(each) for each in undecided if isinstance(each, dict)]
    if shape == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        writer.writerows([_cell(each.get(name)) for name in COLUMNS] for each in (*unknown, *flows))
        sys.stdout.flush()
        return 0
    bad = sum(each.get("state") == "uncovered" for each in flows)
    lines = [f"{bad} of {len(flows)} flows {'is' if bad == 1 else 'are'} not covered"]
    if unknown:
        lines.append(f"{len(unknown)} deployments could not be decided")
    return outputs.told(answer, shape, [*lines, *(line for each in (*unknown, *flows) for line in _lines(each))])


def _lines(each: Mapping[str, Any]) -> list[str]:
    """``uncovered  backup  environment:prod  azure:uaenorth (AE)  under SA``; what is wrong has a second line."""
    place = each.get("region") or f"unknown place ({each.get('claimed_region') or 'nobody said'})"
    country = f" ({each['country']})" if each.get("country") else ""
    held = f"  by {', '.join(map(str, each['safeguards']))}" if each.get("safeguards") else ""
    until = f" until {each['safeguard_until']}" if each.get("safeguard_until") else ""
    words = (each.get("state"), each.get("kind") or "-", each.get("subject"), f"{place}{country}")
    first = "  ".join(map(str, words)) + f"  under {each.get('perimeter') or 'an unknown law'}{held}{until}"
    return [first, f"  {each['message']}"] if each.get("message") else [first]


def _undecided(each: Mapping[str, Any]) -> dict[str, Any]:
    """A deployment of whose flows nobody knows anything, as a row."""
    told = {"state": "undecided", "subject": each.get("version"), "message": each.get("why")}
    return {**told, "deployments": [each.get("deployment")], "denied": [each.get("deployment")]}


def _cell(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return "'" + text if text.startswith(_FORMULA) else text
