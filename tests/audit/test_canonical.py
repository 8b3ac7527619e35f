"""The bytes of an entry: one value, one form. What is ambiguous is refused: ``attacks/test_a24_ambiguous_json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.merkle import canonical
from audit.merkle.canonical import MAX_INTEGER, NotCanonical, decode, encode, normalised

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(normalised)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES))
def test_what_is_encoded_is_rfc_8785_and_decodes_to_itself(value: dict[str, Any]) -> None:
    data = encode(value)
    assert data == rfc8785.dumps(value)
    assert decode(data) == value


# Everything that the two ways could see differently: floats, big integers, keys beyond the Basic Multilingual Plane
# and those before them in UTF-16 order, text that is not in normal form C, halves of surrogate pairs, U+0000.
LETTERS = st.sampled_from(
    'aZ0.,:-"\\\n\r\t\b\f/\x01\x1f\x7f\0é\u0301\u0338\u2028\ud800\udc00\ue000\uffff\U00010000\U0001f600'
)
ANY_TEXT = st.text(LETTERS | st.characters(), max_size=6)
ANY_NUMBER = (
    st.integers()
    | st.integers(MAX_INTEGER - 2, MAX_INTEGER + 2)
    | st.integers(-MAX_INTEGER - 2, -MAX_INTEGER + 2)
    | st.integers(2**64 - 2, 2**64 + 2)
    | st.floats()
)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


def _outcome(function: Callable[[Any], object], given: object) -> object:
    """What a function gives, or that it refuses; the message may come from either way."""
    try:
        return function(given)
    except NotCanonical:
        return NotCanonical


@given(st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=4) | ANY_VALUE)
def test_the_quick_way_encodes_exactly_what_the_rules_encode(value: object) -> None:
    assert _outcome(encode, value) == _outcome(canonical._encoded_by_rule, value)


@given(
    st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=4) | ANY_VALUE, st.booleans(), st.booleans(), st.booleans(), st.data()
)
def test_the_quick_way_decodes_exactly_what_the_rules_decode(
    value: object, ascii_only: bool, in_order: bool, spaces: bool, data: st.DataObject
) -> None:
    separators = (", ", ": ") if spaces else (",", ":")
    text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=in_order, separators=separators)
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    given_bytes = bytes(raw)
    ours, theirs = _outcome(decode, given_bytes), _outcome(canonical._decoded_by_rule, given_bytes)
    assert ours == theirs
    assert json.dumps(ours, default=str) == json.dumps(theirs, default=str)  # 1, 1.0 and True are equal in Python


@given(VALUES, st.integers(26, 34))
def test_the_quick_way_knows_the_same_depth_as_the_rules(value: Any, depth: int) -> None:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    raw = json.dumps({"a": value}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert _outcome(decode, raw) == _outcome(canonical._decoded_by_rule, raw)


def test_an_entry_as_the_log_writes_it_takes_the_quick_way() -> None:
    entry = {"at": "2026-11-22T04:21:06.123456Z", "facts": {"name": "Zoë", "number": [1, None, True]}, "v": 1}
    assert canonical._quickly(encode(entry)) == entry
