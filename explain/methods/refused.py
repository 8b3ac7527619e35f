"""Why a method gives no answer: a code and its facts; the sentence for people is made where they read it."""

from __future__ import annotations

from typing import Any


class CannotSay(ValueError):  # noqa: N818
    """The question has no honest answer. ``code`` names the reason, ``facts`` fill the sentence about it."""

    def __init__(self, code: str, **facts: Any) -> None:
        told = ", ".join(f"{name}={value!r}" for name, value in facts.items())
        super().__init__(f"{code} ({told})" if told else code)
        self.code = code
        self.facts = facts
