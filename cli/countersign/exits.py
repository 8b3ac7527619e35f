"""Exit codes. They are the contract with pipelines: everything but 0 means no, and no flag changes that."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """0 is given for an explicit ``allow`` alone; whatever is not understood is UNDECIDED."""

    ALLOW = 0
    DENIED = 1
    USAGE = 2
    PENDING = 3
    UNDECIDED = 4
    AUTHENTICATION = 5
    MISMATCH = 6


class Stop(Exception):  # noqa: N818  (it ends the command, it is not always a fault)
    """Ends the command with a code and a sentence. ``problem`` is the server's RFC 9457 document, if it sent one."""

    def __init__(self, code: Exit, sentence: str, problem: dict[str, object] | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.problem = problem or {}
