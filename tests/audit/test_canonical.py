"""The bytes of an entry: one value, one form; everything ambiguous is refused."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        -0.0,
        1e21,
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        "a\0b",
        "\ud800",
        "e\u0301",
        b"x",
        {1: 2},
        {"e\u0301": 1},
    ],
)
def test_a_value_outside_the_profile_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(NotCanonical) as caught:
        encode({"facts": [value]})
    assert "$.facts[0]" in str(caught.value)


def test_nesting_beyond_the_limit_is_refused() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(NotCanonical):
        encode(deep)
    with pytest.raises(NotCanonical):
        decode(b"[" * 100_000)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":-0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\u0041"}',
        '{"a":"e\u0301"}'.encode(),
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b"[]",
        b"",
    ],
)
def test_bytes_that_are_not_the_one_form_of_their_value_are_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(data)
