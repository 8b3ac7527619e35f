"""The language that says how rows become a request and where the numbers are."""

from __future__ import annotations

from typing import Any

import pytest

from registry.serving.language import (
    MappingProblem,
    NotThere,
    Rows,
    build,
    check_request,
    parse_path,
    parse_paths,
    read,
)

ROWS = Rows({"age": [36, None], "job": ["clerk", float("nan")], "paid": [True, False], "said": ["true", 0.0]}, 2)


@pytest.mark.parametrize(
    ("template", "request_"),
    [
        (
            {"rows": {"$each_row": {"age": {"$cell": "age"}}}, "v": 1},
            {"rows": [{"age": 36}, {"age": None}], "v": 1},
        ),
        (
            {
                "$each_row": [
                    {"$cell": "job", "as": "text", "missing": "unknown"},
                    "fixed",
                    {"deep": [{"$cell": "paid"}]},
                ]
            },
            [["clerk", "fixed", {"deep": [True]}], ["unknown", "fixed", {"deep": [False]}]],
        ),
        (
            {"x": {"$each_row": {"$row": True}}},
            {"x": [{"age": 36, "job": "clerk", "paid": True, "said": "true"}, None]},
        ),
        ({"x": {"$columns": True}, "n": {"$count": True}, "names": {"$names": True}}, None),
        ({"a": {"$column": "age"}, "b": {"$literal": {"$cell": "not a word here"}}}, None),
        ({"$each_row": {}}, [{}, {}]),
        ({"$each_row": {"age": {"$cell": "age", "as": "number", "missing": -1}}}, [{"age": 36.0}, {"age": -1}]),
        ({"$each_row": {"p": {"$cell": "paid", "as": "text"}}}, [{"p": "true"}, {"p": "false"}]),
        ({"$each_row": {"p": {"$cell": "said", "as": "boolean"}}}, [{"p": True}, {"p": False}]),
    ],
)
def test_templates_are_filled(template: Any, request_: Any) -> None:
    assert check_request(template, columns=["age", "job", "paid", "said"]) is False
    made = build(template, ROWS)
    if "names" in template:
        assert made == {"x": dict(ROWS.columns), "n": 2, "names": ["age", "job", "paid", "said"]}
    elif "b" in template:
        assert made == {"a": [36, None], "b": {"$cell": "not a word here"}}
    elif "x" in template:
        assert made["x"][0] == request_["x"][0]
    else:
        assert made == request_


def test_one_row_a_request() -> None:
    assert check_request({"applicant": {"$one_row": {"age": {"$cell": "age"}}}}) is True
    assert build({"applicant": {"$one_row": {"age": {"$cell": "age"}}}}, ROWS) == {"applicant": {"age": 36}}
    assert read(parse_path("$.score:number", one_row=True), {"score": 0.5}) == [0.5]


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"rows": []}, "request: no rows are sent"),
        (7, "no rows are sent"),
        (
            {"x": {"$each_row": {"age": {"$cell": "agee"}}}},
            r"request\.x\.\$each_row\.age: the model has no input “agee”",
        ),
        ({"x": {"$each_row": {"$cell": 3}}}, "needs the name of a column"),
        ({"x": {"$each_row": {"$cell": "age", "as": "date"}}}, "“as” is one of text, number"),
        ({"x": {"$each_row": {"$cell": "age", "missing": []}}}, "“missing” is one value"),
        ({"x": {"$each_row": {"$cell": "age", "default": 1}}}, "“default” cannot be beside it"),
        ({"x": {"$cell": "age"}}, "belongs inside “\\$each_row”"),
        ({"x": {"$each_row": {"$each_row": 1}}}, "cannot be inside a row"),
        ({"x": {"$eval": "__import__('os')"}}, "“\\$eval” is not a word of the language"),
        ({"x": {"$each_row": 1, "$one_row": 1}}, "stands alone"),
        ([{"$each_row": 1}, {"$one_row": 1}], "cannot stand beside other rows"),
        ({"x": {"$columns": "yes"}}, "write {“\\$columns”: true}"),
        ([[[[[[[[[[[[[{"$columns": True}]]]]]]]]]]]]], "nested too deeply"),
    ],
)
def test_a_wrong_template_is_refused_with_its_place(template: Any, sentence: str) -> None:
    with pytest.raises(MappingProblem, match=sentence):
        check_request(template, columns=["age", "job"])


@pytest.mark.parametrize(
    ("path", "answer", "found"),
    [
        ("$.results[*].score:number", {"results": [{"score": 0.1}, {"score": 0.2}]}, [0.1, 0.2]),
        ("$[*]:number", [0.1, 0.2], [0.1, 0.2]),
        ('$["the rows"][*]["p 1"]:numbers', {"the rows": [{"p 1": [1, 2]}]}, [[1, 2]]),
        ("$.outputs[0].data[*][1]:number", {"outputs": [{"data": [[0, 5], [1, 6]]}]}, [5, 6]),
        ("$.r[*].a.b:decimal", {"r": [{"a": {"b": "0.5"}}]}, ["0.5"]),
    ],
)
def test_paths_find_one_value_a_row(path: str, answer: Any, found: Any) -> None:
    assert read(parse_path(path), answer) == found


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("results[*].score:number", "write a path such as"),
        (None, "write a path such as"),
        ("$.results[*].score", "does not say what is there"),
        ("$.results[*].score:date", "does not say what is there"),
        ("$.results.score:number", "exactly one"),
        ("$.r[*].x[*]:number", "exactly one"),
        ("$.r[*]..x:number", "“..x” is not a step"),
        ("$.r[*].__class__():number", r"“\(\)” is not a step"),
        ("$.r[?(@.x>1)]:number", "is not a step"),
        ("$.r[-1][*]:number", "is not a step"),
    ],
)
def test_a_wrong_path_is_refused(path: Any, sentence: str) -> None:
    with pytest.raises(MappingProblem, match=sentence):
        parse_path(path)


def test_several_paths_are_several_outputs_and_none_is_a_list() -> None:
    assert [path.after for path in parse_paths(["$.r[*].no:number", "$.r[*].yes:number"])] == [("no",), ("yes",)]
    with pytest.raises(MappingProblem, match="none is :numbers"):
        parse_paths(["$.r[*].no:number", "$.r[*].all:numbers"])
    with pytest.raises(MappingProblem, match=r"no \[\*\]"):
        parse_path("$.r[*]:number", one_row=True)


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"results": [{"score": 1}, {"odds": 2}]}, r"no \.score at \$\.results\[1\]"),
        ({"results": {"score": 1}}, r"no list at \$\.results"),
        ({"rows": []}, r"no \.results at \$"),
        ([1], r"no \.results at \$"),
        ({"results": [1]}, r"no \.score at \$\.results\[0\]"),
    ],
)
def test_an_answer_without_the_place_is_said_with_the_place(answer: Any, place: str) -> None:
    with pytest.raises(NotThere, match=place):
        read(parse_path("$.results[*].score:number"), answer)
