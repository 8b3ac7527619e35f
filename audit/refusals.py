"""The four ways in which Countersign says no.

Every sentence is shown to a person as it stands, so it says what was wrong, where, and how to mend it. The API maps
each class once (``config.api.errors``), the pages once (``config.pages.errors``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Refusal(Exception):  # noqa: N818
    """Base of all refusals; never raised itself.

    ``code`` is a stable machine word, for example ``signoff.self_approval``.
    """

    status = 400

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


class BadInput(Refusal):
    """What was sent cannot be understood (400). ``fields`` maps a field's name to its sentence."""

    status = 400

    def __init__(self, sentence: str, *, code: str = "input.invalid", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence, code=code)
        self.fields = dict(fields or {})


class NotPermitted(Refusal):
    """This actor may not do this (403). ``code`` names the rule that forbids it."""

    status = 403


class NotKnown(Refusal):
    """What the request names is not in the registry (404)."""

    status = 404


class Conflict(Refusal):
    """The subject is no longer in the state that the request expects (409)."""

    status = 409


class Refused(Refusal):
    """Well-formed and permitted, but the facts forbid it (422). ``reasons`` holds one sentence per unmet condition."""

    status = 422

    def __init__(self, sentence: str, *, reasons: Sequence[str] = (), code: str) -> None:
        super().__init__(sentence, code=code)
        self.reasons = tuple(reasons)
