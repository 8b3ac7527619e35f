"""From the body of an answer to one output, or one list of outputs, per row: the part that every JSON protocol shares.

Nothing is guessed: text that looks like a number, a truth value, a missing or a further row are a ``WrongAnswer``.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import orjson

from explain.methods.codes import Floats
from explain.serving.protocol import WrongAnswer

#: Strings (left alone) and the three words that Python writes for numbers that JSON does not have.
_BARE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
#: So many key names are listed in a sentence.
_LISTED = 8


def parse(body: bytes, *, url: str) -> Any:
    """The JSON value of ``body``; bare ``NaN`` and ``Infinity`` are read as null. Raises ``WrongAnswer``."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:  # MLflow and Triton write NaN as the bare word, which is not JSON
        return orjson.loads(_BARE.sub(lambda m: m[0] if m[0][:1] == b'"' else b"null", body))
    except orjson.JSONDecodeError as error:
        raise WrongAnswer(f"{url} answered with something that is not JSON.", code="answer.not_json") from error


def under(answer: Any, key: str, *, url: str) -> Any:
    """``answer[key]``, or the answer itself when it is a list already. Raises ``WrongAnswer`` that lists the keys."""
    if isinstance(answer, list):
        return answer
    if isinstance(answer, dict) and key in answer:
        return answer[key]
    has = f"it has {_some(answer)}" if isinstance(answer, dict) else f"it is {_kind(answer)}"
    raise WrongAnswer(f"{url} answered without a list “{key}”: {has}.", code="answer.no_predictions")


def outputs(predictions: Any, *, expected: int, url: str, output: str = "") -> Floats:
    """(rows,) or (rows, outputs) from a list with one entry per row: a number, a list, or an object of numbers.

    ``output``: the key to take when the entries are objects; without it all their values are the outputs.
    Raises ``WrongAnswer`` for another number of rows, ragged rows, text, truth values; null becomes NaN.
    """
    if not isinstance(predictions, list):
        raise WrongAnswer(
            f"{url} answered without a list of predictions: there is {_kind(predictions)}.",
            code="answer.no_predictions",
        )
    counted(len(predictions), expected=expected, url=url)
    if predictions and isinstance(predictions[0], dict):
        predictions = _values(predictions, output, url)
    return numbers(predictions, url=url)


def counted(got: int, *, expected: int, url: str) -> None:
    """Raises ``WrongAnswer`` unless there is one answer per row."""
    if got != expected:
        raise WrongAnswer(
            f"{url} was sent {expected} rows and answered {got}: no prediction can be given to its row.",
            code="answer.row_count",
        )


def numbers(values: list[Any], *, url: str) -> Floats:
    """A list of numbers or of equally long lists of numbers, as an array. Raises ``WrongAnswer``."""
    try:
        made = np.array(values)
        if made.dtype.kind not in "fiu" or _truths(values, made):
            made = np.array([[_number(c) for c in row] if isinstance(row, list) else _number(row) for row in values])
        made = made.astype(np.float64, copy=False)
    except (ValueError, TypeError, OverflowError) as error:
        raise not_numbers(url) from error
    if made.ndim > 2:
        if any(size != 1 for size in made.shape[2:]):
            raise not_numbers(url)
        made = made.reshape(made.shape[:2])
    return made


def not_numbers(url: str) -> WrongAnswer:
    """What is said of labels as text and of ragged rows."""
    return WrongAnswer(
        f"{url} did not answer with the same number of numeric outputs for every row "
        "(labels as text, or ragged rows). Serve probabilities or a number: for scikit-learn, "
        'log the model with pyfunc_predict_fn="predict_proba".',
        code="answer.shape",
    )


def _truths(values: list[Any], made: Any) -> bool:
    """Whether truth values hide among numbers: numpy reads them as 0 and 1, so that only such rows are looked at."""
    if made.size == 0:
        return False
    whole = made.reshape(len(values), -1)
    at = np.flatnonzero(((whole == 0) | (whole == 1)).any(axis=1))
    return bool(len(at)) and _any_truth([values[i] for i in at.tolist()])


def _any_truth(values: list[Any]) -> bool:
    return any(
        isinstance(row, bool) or (isinstance(row, list) and any(isinstance(cell, bool) for cell in row))
        for row in values
    )


def _number(cell: Any) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, list) and len(cell) == 1:
        return _number(cell[0])
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError(cell)
    return float(cell)


def _values(rows: list[Any], output: str, url: str) -> list[Any]:
    keys = list(rows[0])
    if output:
        if any(not isinstance(row, dict) or output not in row for row in rows):
            raise WrongAnswer(
                f"{url} answered rows without “{output}”: the first has {_some(rows[0])}.", code="answer.no_output"
            )
        return [row[output] for row in rows]
    if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
        raise not_numbers(url)
    return [[row[key] for key in keys] for row in rows]


def _some(answer: dict[str, Any]) -> str:
    return ", ".join(f"“{str(key)[:40]}”" for key in list(answer)[:_LISTED]) or "nothing"


def _kind(answer: Any) -> str:
    names = {dict: "an object", str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(answer), "a number")
