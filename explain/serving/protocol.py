"""What a job needs from a served model, whatever wire protocol it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Column, Floats


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to score, column by column; every array of ``cells`` has the same length."""

    columns: tuple[Column, ...]
    cells: Sequence[npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.cells[0]) if self.cells else 0

    def take(self, rows: slice | Sequence[int] | npt.NDArray[Any]) -> Table:
        """The chosen rows, in the order given."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.intp)
        return Table(self.columns, [column[index] for column in self.cells])


class ServingError(Exception):
    """A served model cannot be used. ``sentence`` is shown to a person: what happened, where, what to do."""

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


class Unreachable(ServingError):  # noqa: N818
    """No answer, or only answers that ask to come back later, after all retries."""


class RequestRefused(ServingError):  # noqa: N818
    """The server read the request and says that it is wrong (4xx), or sends it elsewhere (3xx)."""


class WrongAnswer(ServingError):  # noqa: N818
    """An answer came, but it is not one output per row."""


class TooLarge(ServingError):  # noqa: N818
    """The body or the work is too large for one request: send fewer rows (413, or no answer in time)."""


class ServerFailed(ServingError):  # noqa: N818
    """The server failed on these rows (500): transient, or a row that its model cannot read."""


class ServingClient(Protocol):
    """Scores rows. Implementations are safe to share between threads."""

    #: Wire formats that the protocol can speak; the preflight probe chooses one.
    formats: tuple[str, ...]

    def send(self, rows: Table, *, wire: str) -> Floats:
        """Outputs of one request, shape (rows,) or (rows, outputs), in the order of ``rows``; NaN stays NaN.

        Raises a ``ServingError``: never a short, reordered or guessed answer.
        """
        ...

    def version(self) -> str:
        """What the server says about which model it serves; empty when it says nothing."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Cancelled(Exception):  # noqa: N818
    """The job was cancelled while rows were being scored."""
