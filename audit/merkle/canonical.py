"""The bytes of an entry: RFC 8785 (JSON Canonicalization Scheme) under a strict profile.

Profile: no floating-point numbers, integers within +-(2^53 - 1), no U+0000, strings in Unicode normal form C, keys that
are strings, at most ``MAX_DEPTH`` levels. Within it every implementation of RFC 8785 gives the same bytes, and
PostgreSQL's ``jsonb`` takes all of them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import orjson
import rfc8785

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32
#: An entry bundle stores the length of an entry in two bytes (C2SP tlog-tiles).
MAX_BYTES = 65_535
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
#: Keys by code point; integers beyond 2^53 - 1 are an error.
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class NotCanonical(ValueError):  # noqa: N818
    """The value or the bytes are outside the profile; the message names the place."""


def encode(value: object) -> bytes:
    """The canonical bytes of a JSON value. Raises ``NotCanonical`` for anything outside the profile."""
    try:
        data = orjson.dumps(value, option=_SORTED)
        if isinstance(value, dict) and _quickly(data) == value:
            return data
    except orjson.JSONEncodeError:
        pass  # the rules below name what is wrong and where
    return _encoded_by_rule(value)


def decode(data: bytes) -> dict[str, Any]:
    """The object in canonical ``data``. Raises ``NotCanonical`` unless encoding it again gives the same bytes.

    That comparison also finds duplicate keys, other number formats and white space.
    """
    value = _quickly(data)
    return _decoded_by_rule(data) if value is None else value


def decode_all(entries: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """What ``decode`` gives for each, when a look at all of them together shows that each is canonical.

    None says nothing of any of them: ask ``decode`` for each. Verifying a million entries depends on it.
    """
    together = b"\n".join(entries)  # no canonical entry holds a line break, and none composes with one
    if b"\\u0000" in together:
        return None
    try:
        if not together.isascii() and not _is_settled(together.decode()):
            return None
        values = list(map(orjson.loads, entries))
        if set(map(type, values)) != {dict} or not _are_plain(values):
            return None
        if [orjson.dumps(value, None, _SORTED) for value in values] == [*entries]:
            return values
    except (UnicodeDecodeError, orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass
    return None


def _is_settled(text: str) -> bool:
    """Whether ``orjson`` and RFC 8785 sort its words alike, and it is in normal form C."""
    return not _ASTRAL.search(text) and unicodedata.is_normalized("NFC", text)


def _quickly(data: bytes) -> dict[str, Any] | None:
    """The object in ``data`` when ``orjson`` can show that it is canonical and within the profile; None: ask the rules.

    ``orjson`` and RFC 8785 differ in the order of keys beyond the Basic
    Multilingual Plane and in floats only, so both are left to the rules, as is whatever may leave the profile.
    """
    if b"\\u0000" in data:
        return None
    try:
        if not data.isascii() and not _is_settled(data.decode()):
            return None
        value = orjson.loads(data)
        if isinstance(value, dict) and _are_plain([value]) and orjson.dumps(value, option=_SORTED) == data:
            return value
    except (UnicodeDecodeError, orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass
    return None


def _are_plain(values: Sequence[dict[str, Any]]) -> bool:
    """Whether no float is in them and they are well within ``MAX_DEPTH``; integers are checked by ``_SORTED``.

    Goes down level by level through all of them together: a look at each value by itself takes several times as long.
    """
    objects: Sequence[dict[str, Any]] = values
    arrays: Sequence[list[Any]] = []
    for _depth in range(MAX_DEPTH):
        items = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
        kinds = set(map(type, items))
        if float in kinds:
            return False
        objects = [item for item in items if type(item) is dict] if dict in kinds else []
        arrays = [item for item in items if type(item) is list] if list in kinds else []
        if not objects and not arrays:
            return True
    return False


def _encoded_by_rule(value: object) -> bytes:
    _check(value, "$", 0)
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonical(str(error)) from error


def _decoded_by_rule(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
    except NotCanonical:
        raise
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise NotCanonical("$: an entry is a JSON object")
    if _encoded_by_rule(value) != data:
        raise NotCanonical("$: the bytes are not the canonical form of their value")
    return value


def normalised(value: Any, depth: int = 0) -> Any:
    """A copy with every string in normal form C: two ways to type one word must not become two records.

    Raises ``NotCanonical`` when two keys of one object are the same word, or beyond ``MAX_DEPTH`` levels.
    """
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if value is None or isinstance(value, int | float):
        return value
    if depth > MAX_DEPTH:
        raise NotCanonical(f"$: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        copied = {normalised(key): normalised(item, depth + 1) for key, item in value.items()}
        if len(copied) != len(value):
            raise NotCanonical("$: two keys of one object differ in the way they are typed only")
        return copied
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [normalised(item, depth + 1) for item in value]
    return value


def _no_float(text: str) -> NoReturn:
    raise NotCanonical(f"$: the number {text} is not an integer; give it as a string")


def _check(value: object, place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotCanonical(f"{place}: nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, place)
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise NotCanonical(f"{place}: the integer is beyond 2^53 - 1; give it as a string")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonical(f"{place}: the key {key!r} is not a string")
            _check_text(key, place)
            _check(item, f"{place}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check(item, f"{place}[{number}]", depth + 1)
    else:
        raise NotCanonical(f"{place}: {type(value).__name__} is not allowed; give it as a string or an integer")


def _check_text(text: str, place: str) -> None:
    if "\0" in text:
        raise NotCanonical(f"{place}: the text contains U+0000")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NotCanonical(f"{place}: the text contains half of a surrogate pair")
    if not unicodedata.is_normalized("NFC", text):
        raise NotCanonical(f"{place}: the text is not in Unicode normal form C")
