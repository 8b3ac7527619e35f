"""Reading YAML strictly: nodes with their place, and every mistake collected instead of the first one thrown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import yaml

LIMIT_CHARACTERS = 200_000
#: A pack needs five levels; the parser's time grows with the square of the depth.
LIMIT_DEPTH = 10
_TAG = "tag:yaml.org,2002:"
_DURATION = re.compile(r"P(?:(?P<days>\d{1,4})D)?(?:T(?:(?P<hours>\d{1,4})H)?(?:(?P<minutes>\d{1,4})M)?)?", re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Text:
    """A text with the place of its first character, so that a compiler's column can be shown in the file."""

    value: str
    line: int
    column: int


class Reader:
    """Typed access to YAML nodes. A method that meets a mistake notes it and returns the type's empty value."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.rule = ""

    def note(self, node: yaml.Node | None, message: str) -> None:
        self._note_at(node.start_mark if node is not None else None, message)

    def _note_at(self, mark: Any, message: str) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        self.problems.append(Problem(line, column, self.rule, message))

    def finish(self) -> None:
        """Raise ``PackError`` when anything was noted."""
        if self.problems:
            raise PackError(tuple(sorted(self.problems, key=lambda problem: (problem.line, problem.column))))

    def document(self, text: str) -> yaml.Node | None:
        """The root node. Aliases are refused: they make a small text into a huge tree."""
        if len(text) > LIMIT_CHARACTERS:
            self.note(None, f"A pack may have {LIMIT_CHARACTERS} characters; this one has {len(text)}.")
            return None
        depth = 0
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > LIMIT_DEPTH:
                    self._note_at(event.start_mark, "The text is nested too deeply.")
                    return None
                if isinstance(event, yaml.AliasEvent):
                    self._note_at(event.start_mark, "Aliases are not allowed.")
                    return None
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            place = error.problem_mark or error.context_mark
            self._note_at(place, f"This is not YAML: {error.problem or error.context}.")
            return None
        except yaml.YAMLError as error:
            self.note(None, f"This is not YAML: {str(error).splitlines()[0]}.")
            return None
        if root is None:
            self.note(None, "The text is empty.")
        return root

    def mapping(
        self, node: yaml.Node | None, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        """The values by key; unknown, doubled and missing keys are noted."""
        found = dict(self.pairs(node))
        known = (*required, *optional)
        for key, value in list(found.items()):
            if key not in known:
                self.note(value, f"The key {key!r} is not known here; known are {', '.join(known)}.")
                del found[key]
        if isinstance(node, yaml.MappingNode):
            for key in required:
                if key not in found:
                    self.note(node, f"The key {key!r} is missing.")
        return found

    def pairs(self, node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
        """Key and value of a mapping with free keys, in order; a doubled key is noted and dropped."""
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            self.note(node, "A mapping (key: value) is expected here.")
            return
        seen: set[str] = set()
        for key_node, value in node.value:
            if not self._is(key_node, "str"):
                self.note(key_node, "A key must be text.")
            elif not _storable(key_node.value):
                self.note(key_node, "The key holds a character that is none (NUL, or half of one).")
            elif key_node.value in seen:
                self.note(key_node, f"The key {key_node.value!r} is here twice.")
            else:
                seen.add(key_node.value)
                yield key_node.value, value

    def items(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, "A list is expected here.")
            return []
        return list(node.value)

    def text(self, node: yaml.Node | None) -> Text:
        """Non-empty text; ``yes``, ``2024-01-01`` or ``3`` without quotes are not text."""
        if node is None:
            return Text("", 1, 1)
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if not isinstance(node, yaml.ScalarNode) or not self._is(node, "str"):
            self.note(node, "Text is expected here (put it in quotes).")
            return Text("", line, column)
        if not node.value.strip():
            self.note(node, "The text is empty.")
        if not _storable(node.value):
            self.note(node, "The text holds a character that is none (NUL, or half of one).")
            return Text("", line, column)
        if node.style in ("'", '"'):
            column += 1
        elif node.style in ("|", ">"):
            line, column = line + 1, 1
        return Text(node.value, line, column)

    def refuse_look_alikes(self, text: Text) -> None:
        """Note the first character beyond ASCII: a Cyrillic letter that looks like a Latin one never compares equal, so
        a rule that holds one would silently never apply.
        """
        for row, line in enumerate(text.value.split("\n")):
            for place, character in enumerate(line):
                if not character.isascii():
                    name = unicodedata.name(character, f"U+{ord(character):04X}")
                    column = text.column + place if row == 0 else place + 1
                    message = f"{character!r} ({name}) is not allowed here: facts and codes are written in ASCII."
                    self.problems.append(Problem(text.line + row, column, self.rule, message))
                    return

    def word(self, node: yaml.Node | None, *allowed: str) -> str:
        """Text that must be one of ``allowed``; any text when none are given."""
        found = self.text(node).value
        if node is not None and found and allowed and found not in allowed:
            self.note(node, f"{found!r} is not known here; known are {', '.join(allowed)}.")
        return found

    def texts(self, node: yaml.Node | None, *allowed: str) -> tuple[str, ...]:
        """A list of text without doubles."""
        found: list[str] = []
        for item in self.items(node):
            value = self.word(item, *allowed)
            if value in found:
                self.note(item, f"{value!r} is in this list twice.")
            found.append(value)
        return tuple(found)

    def integer(self, node: yaml.Node | None, *, least: int, most: int) -> int:
        if node is None:
            return least
        value = int(node.value) if self._is(node, "int") and re.fullmatch(r"[0-9]{1,15}", node.value) else -1
        if not least <= value <= most:
            self.note(node, f"A whole number from {least} to {most} is expected here.")
            return least
        return value

    def truth(self, node: yaml.Node | None) -> bool:
        if node is None:
            return False
        if not self._is(node, "bool") or node.value not in ("true", "false"):
            self.note(node, "true or false is expected here.")
        return bool(node.value == "true")

    def day(self, node: yaml.Node | None) -> date | None:
        if node is None:
            return None
        try:
            return date.fromisoformat(node.value if isinstance(node, yaml.ScalarNode) else "")
        except ValueError:
            self.note(node, "A date such as 2026-11-22 is expected here.")
            return None

    def duration(self, node: yaml.Node | None) -> timedelta:
        """ISO 8601 days, hours and minutes, for example ``P14D``; more than nothing, at most 366 days."""
        found = _DURATION.fullmatch(self.text(node).value)
        parts: Mapping[str, str | None] = found.groupdict() if found else {}
        length = timedelta(**{unit: int(value) for unit, value in parts.items() if value})
        if node is not None and not timedelta() < length <= timedelta(days=366):
            self.note(node, "A duration such as P14D or PT12H is expected here, at most P366D.")
        return length

    @staticmethod
    def _is(node: yaml.Node, kind: str) -> bool:
        return isinstance(node, yaml.ScalarNode) and bool(node.tag == _TAG + kind)


def _storable(text: str) -> bool:
    """Whether text can be written as UTF-8 and kept by the database."""
    return "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
