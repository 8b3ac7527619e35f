"""From a pack's text to compiled rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CompiledPack:
    """A pack ready to decide."""

    id: str
    version: int
    digest: str
    status: str
    title: str
    rules: tuple[Any, ...]
    signoffs: tuple[Any, ...]


def compile_pack(text: str) -> CompiledPack:
    """Parse and compile; cached by digest. Raises ``PackError`` with every problem."""
    raise NotImplementedError
