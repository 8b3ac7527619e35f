"""A small language that says how rows become a JSON request and where the numbers are in the answer.

For an endpoint that speaks no protocol of its own name. Templates are data: nothing is evaluated, and whatever a
template says is checked when the endpoint is registered. docs/serving.md has the grammar with examples.

A request template is a JSON value in which objects with one key that begins with ``$`` stand for something::

    {"rows": {"$each_row": {"age": {"$cell": "age"}, "job": {"$cell": "job", "as": "text", "missing": "unknown"}}}}

A path says where the outputs are and of what type: ``$.results[*].score:number``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from django.utils.translation import gettext as _

#: What a path may find: a number, a list of numbers, a number that is written as text.
TYPES = ("number", "numbers", "decimal")
#: What ``as`` may make of a cell.
CELL_TYPES = ("text", "number", "integer", "boolean")
#: Levels of a template.
DEEPEST = 12
#: A step of a path: ``.name``, ``["any name"]``, ``[3]`` or ``[*]``.
_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\["([^"\\]{1,100})"\]|\[(\d{1,6})\]|\[(\*)\]""")
#: Words that stand alone, and what they may say.
_ALONE: dict[str, tuple[Any, ...]] = {
    "$cells": (True,),
    "$row": (True,),
    "$names": (True,),
    "$count": (True,),
    "$columns": (True,),
}
#: Words that are about one row, and words that hold rows.
_OF_A_ROW, _OF_ROWS = (
    frozenset({"$cell", "$cells", "$row"}),
    frozenset({"$each_row", "$one_row", "$columns", "$column"}),
)


class MappingProblem(ValueError):  # noqa: N818
    """A template or a path that cannot be used; the sentence names the place."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a template is filled with: cells as Python values, column by column."""

    columns: Mapping[str, Sequence[Any]]
    count: int


def check_request(template: Any, *, columns: Sequence[str] | None = None) -> bool:
    """Whether the template sends one row a request (``$one_row``).

    ``columns``: the inputs of the model, when they are known. Raises ``MappingProblem`` with the place.
    """
    found: set[str] = set()
    _check(template, "request", set(columns) if columns is not None else None, found, in_row=False, depth=0)
    if not found & _OF_ROWS:
        raise MappingProblem(_("request: no rows are sent; put {“$each_row”: …} where the list of rows belongs."))
    if "$one_row" in found and found & (_OF_ROWS - {"$one_row"}):
        raise MappingProblem(_("request: “$one_row” sends one row a request and cannot stand beside other rows."))
    return "$one_row" in found


def _check(node: Any, place: str, columns: set[str] | None, found: set[str], *, in_row: bool, depth: int) -> None:
    if depth > DEEPEST:
        raise MappingProblem(_("%(place)s: nested too deeply.") % {"place": place})
    if isinstance(node, list):
        for i, each in enumerate(node):
            _check(each, f"{place}[{i}]", columns, found, in_row=in_row, depth=depth + 1)
        return
    if not isinstance(node, Mapping):
        return
    words = [key for key in node if str(key).startswith("$")]
    if not words:
        for key, each in node.items():
            _check(each, f"{place}.{key}", columns, found, in_row=in_row, depth=depth + 1)
        return
    word = words[0]
    found.add(word)
    extra = set(node) - {word} - ({"as", "missing"} if word == "$cell" else set())
    if extra:
        raise MappingProblem(
            _("%(place)s: “%(word)s” stands alone; “%(key)s” cannot be beside it.")
            % {"place": place, "word": word, "key": sorted(map(str, extra))[0]}
        )
    _check_place(word, place, in_row=in_row)
    if word in ("$each_row", "$one_row"):
        _check(node[word], f"{place}.{word}", columns, found, in_row=True, depth=depth + 1)
    elif word in ("$cell", "$column"):
        _check_column(node, word, place, columns)
    elif word in _ALONE and node[word] not in _ALONE[word]:
        raise MappingProblem(_("%(place)s: write {“%(word)s”: true}.") % {"place": place, "word": word})


def _check_place(word: str, place: str, *, in_row: bool) -> None:
    if word not in {*_ALONE, *_OF_A_ROW, *_OF_ROWS, "$literal"}:
        known = ", ".join(sorted({*_ALONE, *_OF_A_ROW, *_OF_ROWS, "$literal"}))
        raise MappingProblem(
            _("%(place)s: “%(word)s” is not a word of the language; there are %(known)s.")
            % {"place": place, "word": word[:40], "known": known}
        )
    if word in _OF_A_ROW and not in_row:
        raise MappingProblem(
            _("%(place)s: “%(word)s” is about one row and belongs inside “$each_row”.") % {"place": place, "word": word}
        )
    if word in _OF_ROWS and in_row:
        raise MappingProblem(_("%(place)s: “%(word)s” cannot be inside a row.") % {"place": place, "word": word})


def _check_column(node: Mapping[str, Any], word: str, place: str, columns: set[str] | None) -> None:
    name = node[word]
    if not isinstance(name, str) or not name:
        raise MappingProblem(_("%(place)s: “%(word)s” needs the name of a column.") % {"place": place, "word": word})
    if columns is not None and name not in columns:
        raise MappingProblem(
            _("%(place)s: the model has no input “%(name)s”; it has %(known)s.")
            % {"place": place, "name": name[:60], "known": ", ".join(sorted(columns)[:12])}
        )
    if "as" in node and node["as"] not in CELL_TYPES:
        raise MappingProblem(
            _("%(place)s: “as” is one of %(types)s.") % {"place": place, "types": ", ".join(CELL_TYPES)}
        )
    if isinstance(node.get("missing"), Mapping | list):
        raise MappingProblem(_("%(place)s: “missing” is one value.") % {"place": place})


def build(template: Any, rows: Rows) -> Any:
    """The request for ``rows``, from a template that ``check_request`` has seen.

    Raises ``ValueError`` for a cell that cannot be what ``as`` says.
    """
    if isinstance(template, list):
        return [build(each, rows) for each in template]
    if not isinstance(template, Mapping):
        return template
    word = next((key for key in template if key.startswith("$")), "")
    match word:
        case "":
            return {key: build(each, rows) for key, each in template.items()}
        case "$each_row":
            return list(_each(template[word], rows))
        case "$one_row":
            return next(_each(template[word], rows))
        case "$columns":
            return dict(rows.columns)
        case "$column":
            return list(rows.columns[template[word]])
        case "$names":
            return list(rows.columns)
        case "$count":
            return rows.count
    return template["$literal"]


def _each(template: Any, rows: Rows) -> Iterator[Any]:
    """The template once per row. Built column by column: a value per row costs no interpretation of the template."""
    if isinstance(template, list):
        return map(list, zip(*(_each(each, rows) for each in template), strict=True)) if template else _same([], rows)
    if not isinstance(template, Mapping):
        return _same(template, rows)
    word = next((key for key in template if key.startswith("$")), "")
    if word == "":
        keys = list(template)
        made = zip(*(_each(template[key], rows) for key in keys), strict=True)
        return (dict(zip(keys, values, strict=True)) for values in made) if keys else _same({}, rows)
    if word == "$cell":
        return _cells(template, rows)
    if word == "$cells":
        return map(list, zip(*rows.columns.values(), strict=True))
    if word == "$row":
        names = list(rows.columns)
        return (dict(zip(names, cells, strict=True)) for cells in zip(*rows.columns.values(), strict=True))
    return _same(build(template, rows), rows)


def _same(value: Any, rows: Rows) -> Iterator[Any]:
    return repeat(value, rows.count)


def _cells(template: Mapping[str, Any], rows: Rows) -> Iterator[Any]:
    name, missing, kind = template["$cell"], template.get("missing"), template.get("as", "")
    convert: Callable[[Any], Any] = _CONVERT[kind]
    for i, cell in enumerate(rows.columns[name]):
        if cell is None or cell != cell:
            yield missing
            continue
        try:
            yield convert(cell)
        except (ValueError, TypeError):  # without the value: the sentence is stored, and a cell is personal data
            raise ValueError(f"column “{name}” of row {i + 1} is no {kind}") from None


def _text(cell: Any) -> str:
    return ("true" if cell else "false") if isinstance(cell, bool) else str(cell)


def _integer(cell: Any) -> int:
    if int(cell) != float(cell):
        raise ValueError("no whole number")
    return int(cell)


def _boolean(cell: Any) -> bool:
    """Text is no truth value by being there: “false” is not true."""
    if isinstance(cell, bool) or (isinstance(cell, int | float) and cell in (0, 1)):
        return bool(cell)
    if isinstance(cell, str) and cell in ("true", "false"):
        return cell == "true"
    raise ValueError("no truth value")


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "": lambda cell: cell,
    "text": _text,
    "number": float,
    "integer": _integer,
    "boolean": _boolean,
}


@dataclass(frozen=True, slots=True)
class Path:
    """Steps before ``[*]``, steps after it, and the type of what is found. ``many``: there is a ``[*]``."""

    text: str
    before: tuple[str | int, ...]
    after: tuple[str | int, ...]
    type: str
    many: bool


def parse_path(text: Any, *, one_row: bool = False) -> Path:
    """A path such as ``$.results[*].score:number``.

    Exactly one ``[*]`` stands for the rows, none when a request sends ``one_row``. Raises ``MappingProblem``.
    """
    if not isinstance(text, str) or not text.startswith("$") or len(text) > 400:
        raise MappingProblem(_("response: write a path such as $.results[*].score:number."))
    steps, colon, kind = text[1:].rpartition(":")
    if not colon or kind not in TYPES:
        raise MappingProblem(
            _("response: “%(path)s” does not say what is there; end it with :%(types)s.")
            % {"path": text[:80], "types": ", :".join(TYPES)}
        )
    found: list[str | int | None] = []
    at = 0
    while at < len(steps):
        step = _STEP.match(steps, at)
        if step is None:
            raise MappingProblem(
                _('response: “%(rest)s” is not a step; write .name, ["name"], [0] or [*].')
                % {"rest": steps[at : at + 40]}
            )
        name, quoted, index, _star = step.groups()
        found.append(int(index) if index is not None else name or quoted)
        at = step.end()
    stars = found.count(None)
    if stars != (0 if one_row else 1):
        raise MappingProblem(
            _("response: a request sends one row, so that the path has no [*].")
            if one_row
            else _("response: the path needs exactly one [*], where the rows are.")
        )
    cut = len(found) if one_row else found.index(None)
    before, after = found[:cut], found[cut + 1 :]
    return Path(
        text,
        tuple(each for each in before if each is not None),
        tuple(each for each in after if each is not None),
        kind,
        not one_row,
    )


def parse_paths(given: Any, *, one_row: bool = False) -> tuple[Path, ...]:
    """One path, or a list of paths that each find one output. Raises ``MappingProblem``."""
    if isinstance(given, list) and given:
        paths = tuple(parse_path(each, one_row=one_row) for each in given[:100])
        if len(paths) > 1 and any(path.type == "numbers" for path in paths):
            raise MappingProblem(_("response: several paths find one number each, so that none is :numbers."))
        return paths
    return (parse_path(given, one_row=one_row),)


class NotThere(ValueError):  # noqa: N818
    """An answer has nothing at a place where the path says that there is something."""


def read(path: Path, answer: Any) -> list[Any]:
    """What ``path`` finds, one entry per row. Raises ``NotThere`` with the place."""
    here = _walk(answer, path.before, "$")
    if not path.many:
        return [here]
    place = "$" + "".join(map(_shown, path.before))
    if not isinstance(here, list):
        raise NotThere(f"there is no list at {place}")
    if not path.after:
        return here
    if len(path.after) == 1 and isinstance(path.after[0], str):  # the usual case, without a call per row
        try:
            return [each[path.after[0]] for each in here]
        except (KeyError, TypeError, IndexError):
            pass
    return [_walk(each, path.after, f"{place}[{i}]") for i, each in enumerate(here)]


def _walk(value: Any, steps: Sequence[str | int], place: str) -> Any:
    for step in steps:
        try:
            if isinstance(step, str) != isinstance(value, dict):
                raise KeyError(step)
            value = value[step]
        except (KeyError, IndexError, TypeError) as error:
            raise NotThere(f"there is no {_shown(step)} at {place}") from error
        place += _shown(step)
    return value


def _shown(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
