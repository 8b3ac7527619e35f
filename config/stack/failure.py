"""Why the stack cannot start, as one sentence for the person at the terminal."""

from __future__ import annotations


class StackFailure(Exception):  # noqa: N818  (a sentence for a person, not a programming error)
    """Shown without a traceback; says what is wrong and how to mend it."""
