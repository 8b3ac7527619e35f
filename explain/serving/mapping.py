"""Any other HTTP endpoint: a request template and a typed response path (``registry.serving.language``)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.serving import answers, bodies
from explain.serving.base import HttpClient, Wiring
from explain.serving.protocol import RequestRefused, Table, WrongAnswer
from registry.serving import language

#: A number as text: no spaces, no thousands separators, no percent sign.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: Rows of one call when each request sends one row: progress and cancelling are checked between calls.
ONE_BY_ONE = 20


class MappingClient(HttpClient):
    """Options: ``request`` (the template), ``response`` (a path, or a list of paths: one for each output)."""

    def __init__(self, url: str, options: Mapping[str, Any], wiring: Wiring) -> None:
        super().__init__(url, options, wiring)
        try:
            self._one_row = language.check_request(options.get("request"))
            self._paths = language.parse_paths(options.get("response"), one_row=self._one_row)
        except language.MappingProblem as error:
            raise RequestRefused(str(error), code="endpoint.mapping") from error
        self._request = options["request"]

    @property
    def largest_batch(self) -> int | None:
        """Rows of one call of ``send``."""
        return ONE_BY_ONE if self._one_row else super().largest_batch

    def address(self, url: str) -> str:
        return url

    def send(self, rows: Table, *, wire: str) -> Floats:
        if self._one_row:
            return np.concatenate([self._once(rows.take([i]), wire) for i in range(len(rows))])
        return self._once(rows, wire)

    def _once(self, rows: Table, wire: str) -> Floats:
        cells = {column.name: each.tolist() for column, each in zip(rows.columns, rows.cells, strict=True)}
        try:
            request = language.build(self._request, language.Rows(cells, len(rows)))
        except KeyError as error:
            raise RequestRefused(
                f"The mapping of {self.url} asks for column {error}, and the rows have none.", code="endpoint.mapping"
            ) from error
        except ValueError as error:
            raise RequestRefused(f"The mapping of {self.url} fails: {error}.", code="endpoint.mapping") from error
        answer = answers.parse(self.post(bodies.dumps(request), rows, wire=wire).body, url=self.url)
        found = [self._read(path, answer, expected=len(rows)) for path in self._paths]
        return found[0] if len(found) == 1 else np.column_stack(found)

    def _read(self, path: language.Path, answer: Any, *, expected: int) -> Floats:
        try:
            values = language.read(path, answer)
        except language.NotThere as error:
            raise WrongAnswer(
                f"{self.url} answered without {path.text}: {error}.", code="answer.no_predictions"
            ) from error
        if path.type == "decimal":
            answers.counted(len(values), expected=expected, url=self.url)
            values = [_decimal(value, path, self.url) for value in values]
        made = answers.outputs(values, expected=expected, url=self.url)
        if (made.ndim == 2) != (path.type == "numbers") and not (made.ndim == 2 and made.shape[1] == 1):
            wanted = "a list of numbers" if path.type == "numbers" else "one number"
            raise WrongAnswer(f"{self.url}: {path.text} is not {wanted} for each row.", code="answer.shape")
        return made


def _decimal(value: Any, path: language.Path, url: str) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise WrongAnswer(f"{url}: {path.text} is not a number written as text everywhere.", code="answer.shape")
    return float(value)
