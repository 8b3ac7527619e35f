"""Whether stored values of an explanation are those of its receipt: digests over RFC 8785, and additivity."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.exits import Exit, Stop

#: What of a result its digest covers, besides its id.
_FIELDS = ("phi", "se", "base", "fx", "residual", "evals", "rounds", "converged", "certain", "problem", "diagnostics")
#: Largest additivity residual relative to max(1, |f(x)|) of a SHAP value.
_RESIDUAL = 1e-6


@dataclass(frozen=True)
class Found:
    """``digest``: of the receipt, which the log's entry «explanation.finished» holds. ``erased``: rows of which nothing
    but a digest is left. ``additive``: values that must add up to the prediction. ``problems``: sentences.
    """

    digest: str
    rows: int
    erased: int
    additive: bool
    problems: list[str]


def check(receipt: Any, results: Any) -> Found:
    """Compare. Raises ``Stop`` (usage) for documents of another shape."""
    said = receipt.get("receipt", receipt) if isinstance(receipt, Mapping) else None
    rows = results.get("results") if isinstance(results, Mapping) else None
    if not isinstance(said, Mapping) or not isinstance(said.get("digests"), Mapping) or not isinstance(rows, list):
        raise Stop(Exit.USAGE, "Give a receipt and the results as `explanations receipt` and `result` save them.")
    if said.get("v") != 2:
        raise Stop(Exit.USAGE, f"A receipt of shape {said.get('v')} is not known here; update countersign.")
    problems: list[str] = []
    digests: list[Any] = []
    erased = 0
    for name, of in (("explanation", said.get("explanation")), ("receipt_digest", digest(said))):
        if results.get(name, of) != of:
            problems.append(f"The results say another {name} than the receipt.")
    for row in rows:
        if not isinstance(row, Mapping):
            raise Stop(Exit.USAGE, "A result is no object.")
        if row.get("erased"):
            digests.append(row.get("digest"))
            erased += 1
            if not _is_empty(row):
                problems.append(f"Row {row.get('row_id')} is called erased and has values.")
            continue
        digests.append(digest({"id": row.get("row_id"), **{name: row.get(name) for name in _FIELDS}}))
        if said.get("method") == "shap" and not row.get("problem") and not _adds_up(row):
            problems.append(f"Row {row.get('row_id')} does not add up to its prediction.")
    if digest(digests) != said["digests"].get("results"):
        problems.insert(0, "The results are not those of the receipt.")
    found = digest(said)
    if isinstance(receipt, Mapping) and receipt.get("digest", found) != found:
        problems.insert(0, "The receipt is not the one whose digest stands beside it.")
    return Found(found, len(rows), erased, str(said.get("method")) == "shap", problems)


def _is_empty(row: Mapping[str, Any]) -> bool:
    numbers = any(row.get(name) is not None for name in ("base", "fx", "residual"))
    return str(row.get("row_id")).startswith("erased-") and not row.get("phi") and not row.get("se") and not numbers


def _adds_up(row: Mapping[str, Any]) -> bool:
    try:
        base, fx = float(row["base"]), float(row["fx"])
        missing = base + math.fsum(row["phi"]) - fx
    except (KeyError, TypeError, ArithmeticError, ValueError):
        return False
    return abs(missing) <= _RESIDUAL * max(1.0, abs(fx))


def digest(value: Any) -> str:
    """``sha256:`` of the RFC 8785 form; whole numbers from 2^53 and NaN, which it lacks, are text as on the server."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """RFC 8785: names by their UTF-16 code units, numbers as ECMAScript writes them."""
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: str(name).encode("utf-16-be"))
        return "{" + ",".join(f"{_text(str(name))}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _text(f"float:{value}")
    if abs(value) >= 2**53:
        return _text(f"int:{int(value)}")
    return number(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """ECMA-262 Number::toString: the shortest digits that read back, which Python's ``repr`` gives too."""
    if isinstance(value, int) or value == int(value):
        return str(int(value))
    sign = "-" if value < 0 else ""
    mantissa, _sign, power = repr(abs(value)).partition("e")
    whole, _dot, part = mantissa.partition(".")
    part = "" if part == "0" else part
    digits = (whole + part).lstrip("0")
    leading = len(whole + part) - len((whole + part).lstrip("0"))
    point = len(whole) + int(power or 0) - leading
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        filled = digits.ljust(point, "0")
        return sign + filled[:point] + (f".{filled[point:]}" if filled[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    exponent = point - 1
    rest = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{rest}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
