"""A policy pack as it is written: YAML to immutable values, every mistake with its line and column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a pack. Lines and columns count from 1; ``rule`` is the rule's id or empty."""

    line: int
    column: int
    rule: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}"
        return f"{where}: {self.rule}: {self.message}" if self.rule else f"{where}: {self.message}"


class PackError(Exception):
    """A pack that cannot be accepted; ``problems`` holds all of them in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
