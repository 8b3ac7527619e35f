"""Rows as text: what is a number, what stays a name, and what nobody can mean."""

from __future__ import annotations

import pytest

from audit.refusals import BadInput
from explain import tables

SCHEMA = {"inputs": [{"name": "age", "type": "long"}]}


def test_cells_without_a_type_are_numbers_only_where_every_one_is_written_as_one() -> None:
    text = "whole,zeros,under,share,word,age\n1,007,1_000,.5,nan,41\n-2,8,2,1e-2,3,\n"
    assert tables.read(text, field="rows", schema=SCHEMA) == [
        {"whole": 1, "zeros": "007", "under": "1_000", "share": 0.5, "word": "nan", "age": 41},
        {"whole": -2, "zeros": "8", "under": "2", "share": 0.01, "word": "3", "age": None},
    ]


def test_more_digits_than_python_reads_are_no_error_of_the_program() -> None:
    (row,) = tables.read(f"n\n{'9' * 5000}\n", field="rows", schema={})
    assert row == {"n": float("inf")}, "which the question refuses by its row and column"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,a\n1,2,3\n", "“a” occurs twice"),
        ('[{"a": 1, "a": 2}]', "“a” occurs twice"),
        ('{"columns": ["a", "a"], "data": [[1, 2]]}', "occurs twice"),
        ('[{"a": NaN}]', "not a JSON value"),
        ("a,b\n1\n", "Line 2 has 1 cells"),
    ],
)
def test_what_nobody_can_mean_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        tables.read(text, field="rows", schema=SCHEMA)
    assert list(caught.value.fields) == ["rows"]
