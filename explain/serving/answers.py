"""From the body of an answer to one output, or one list of outputs, per row: the part that every JSON protocol shares.

Nothing is guessed: text that looks like a number, a truth value, a missing or a further row are a ``WrongAnswer``.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import numpy as np
import orjson

from explain.methods.codes import Floats
from explain.serving.protocol import WrongAnswer

#: Strings (left alone) and the three words that Python writes for numbers that JSON does not have.
_BARE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
#: What JSON has for numbers; null is NaN.
_NUMBERS = {float, int, type(None)}
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
    """A list of numbers or of equally long lists of numbers, as an array. Raises ``WrongAnswer``.

    The types are looked at and not only what numpy makes of them: it reads "0.5" and true as numbers.
    """
    flat, width = _flat(values, url)
    if width is not None and flat and type(flat[0]) is list:  # [[[0.1]], [[0.9]]]: axes of length 1 say nothing
        flat, inner = _flat(flat, url)
        if inner != 1:
            raise not_numbers(url)
    if not set(map(type, flat)) <= _NUMBERS:
        raise not_numbers(url)
    try:
        made = np.array(flat, dtype=np.float64)
    except OverflowError as error:
        raise not_numbers(url) from error
    return made if width is None else made.reshape(len(values), width)


def _flat(values: list[Any], url: str) -> tuple[list[Any], int | None]:
    """The cells of equally long lists and their length; ``values`` themselves and None when they are cells."""
    if not values or type(values[0]) is not list:
        return values, None
    if set(map(type, values)) != {list} or len(widths := set(map(len, values))) != 1:
        raise not_numbers(url)
    return list(chain.from_iterable(values)), widths.pop()


def not_numbers(url: str) -> WrongAnswer:
    """What is said of labels as text and of ragged rows."""
    return WrongAnswer(
        f"{url} did not answer with the same number of numeric outputs for every row "
        "(labels as text, or ragged rows). Serve probabilities or a number: for scikit-learn, "
        'log the model with pyfunc_predict_fn="predict_proba".',
        code="answer.shape",
    )


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
