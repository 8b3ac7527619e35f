"""A24: JSON that two programs read differently: big integers, -0, 1e21, NaN, duplicate keys, lone surrogates, letters
typed in two ways, U+0000, deep nesting. None of it becomes an entry, and none of it is taken for one.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from audit import log
from audit.merkle.canonical import MAX_DEPTH, NotCanonical, decode, encode
from audit.models import Event
from audit.refusals import BadInput
from tests.audit.story import LAYLA


def nested(levels: int) -> Any:
    """``levels`` lists, one in the other."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


AMBIGUOUS = {
    "2^53": 2**53,
    "-2^53": -(2**53),
    "2^64": 2**64,
    "a float": 0.5,
    "a whole float": 1.0,
    "-0.0": -0.0,
    "1e21": 1e21,
    "5e-324": 5e-324,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "U+0000": "a\0b",
    "half of a surrogate pair": "\ud800",
    "the other half": "\udc00",
    "a key of half a surrogate pair": {"\ud800": 1},
    "a key that is a number": {1: 2},
    "a key that is nothing": {None: 2},
    "a key that is true": {True: 2},
    "bytes": b"x",
    "a set": {1},
    "a thing": object(),
    "deep nesting": nested(MAX_DEPTH),
    "very deep nesting": nested(900),
    "deeper than the interpreter goes": nested(100_000),
}
#: The door makes one form of these before it writes; the format itself takes that form only.
TWO_FORMS = {
    "a letter in two parts": "e\u0301",
    "the sign for \u00c5ngstr\u00f6m": "\u212b",
    "a key in two parts": {"e\u0301": 1},
}


@pytest.mark.parametrize("name", [*AMBIGUOUS, *TWO_FORMS])
def test_the_format_refuses_it_and_names_the_place(name: str) -> None:
    with pytest.raises(NotCanonical) as refused:
        encode({"facts": [{**AMBIGUOUS, **TWO_FORMS}[name]]})
    assert str(refused.value).startswith("$.facts[0]")


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["facts"] = circle
    with pytest.raises(NotCanonical):
        encode(circle)


#: Two facts that one normal form would make one: the second must not replace the first in silence.
ONE_WORD_TWICE = {"one word typed in two ways": {"\u00e9": 1, "e\u0301": 2}}


@pytest.mark.django_db
@pytest.mark.parametrize("name", [*AMBIGUOUS, *ONE_WORD_TWICE])
def test_the_door_refuses_it_with_a_sentence_and_writes_nothing(name: str) -> None:
    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit.entry")
            return int(cursor.fetchone()[0])

    before = count()
    with pytest.raises(BadInput) as refused, transaction.atomic():
        log.append(Event.MODEL_CHANGED, "model:x", facts={"given": {**AMBIGUOUS, **ONE_WORD_TWICE}[name]}, by=LAYLA)
    assert len(refused.value.sentence) > 20
    assert count() == before


BYTES = [
    b'{"b":1,"a":2}',
    b'{"a":1,"a":1}',
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":1}}',
    b'{"a":1,"\\u0061":1}',
    b'{"a": 1}',
    b' {"a":1}',
    b'{"a":1}\n',
    b'{"a":1}{"a":1}',
    b'{"a":1,}',
    b'{"a":1.0}',
    b'{"a":1.5}',
    b'{"a":-0}',
    b'{"a":-0.0}',
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":1e3}',
    b'{"a":1e21}',
    b'{"a":1e400}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":9007199254740992}',
    b'{"a":-9007199254740992}',
    b'{"a":18446744073709551616}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":"\\u0000"}',
    b'{"\\u0000":1}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}',
    b'{"a":"\\ud83d\\ude00"}',
    b'{"a":"\\u0041"}',
    b'{"a":"\\/"}',
    b'{"a":"\\u001F"}',
    b'{"a":"\\u000a"}',
    b'{"a":"\x1f"}',
    b'{"a":"\x7f\\u007f"}',
    '{"a":"e\u0301"}'.encode(),
    '{"e\u0301":1}'.encode(),
    '{"\u00e9":1,"e\u0301":1}'.encode(),
    '{"\U00010000":1,"\uffff":1}'.encode()[:-1] + b',"a":1}',
    '{"\uffff":1,"\U00010000":1}'.encode(),
    b'\xef\xbb\xbf{"a":1}',
    b'{"a":"\xff"}',
    b'{"a":"\xc0\x80"}',
    b'{"a":"\xed\xa0\x80"}',
    '{"a":1}'.encode("utf-16"),
    b"[" * 100_000,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"{'a':1}",
    b'{"a":undefined}',
    b'{"a":1/*b*/}',
    b"[]",
    b"1",
    b"null",
    b"",
    b"\0",
]


@pytest.mark.parametrize("data", BYTES, ids=lambda data: repr(data[:24]))
def test_bytes_that_are_not_the_one_form_of_their_value_are_no_entry(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(data)


def test_keys_are_in_the_order_of_utf_16() -> None:
    # By code point U+FFFF comes before U+10000, in UTF-16 after it: RFC 8785 section 3.2.3.
    right = '{"\U00010000":1,"\uffff":1}'.encode()
    assert encode({"\uffff": 1, "\U00010000": 1}) == right
    assert decode(right) == {"\uffff": 1, "\U00010000": 1}


@pytest.mark.django_db
@pytest.mark.parametrize("data", [b'{"a":1', b"[]", b"x", b"\0\0"])
def test_the_database_itself_refuses_bytes_that_are_no_object(data: bytes) -> None:
    insert = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, gen_random_uuid(), 'x/1', %s)"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, [data])
