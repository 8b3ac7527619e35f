"""Digests of what a job was asked and what came of it: SHA-256 over RFC 8785 (JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import rfc8785


def digest(value: Any) -> str:
    """``sha256:`` of the RFC 8785 form of ``value``; whole numbers from 2^53 and NaN, which it lacks, become text."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: Any) -> bytes:
    """The bytes that ``digest`` hashes."""
    return rfc8785.dumps(_canonical(value))


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return f"float:{value}"
    if isinstance(value, int | float) and abs(value) >= 2**53:
        return f"int:{int(value)}"  # PostgreSQL's jsonb gives 1e20 back as an integer
    return value
