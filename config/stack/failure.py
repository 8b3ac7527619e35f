"""Why the stack cannot start, as one sentence for the person at the terminal."""

from __future__ import annotations


class StackFailure(Exception):
    """Shown without a traceback; says what is wrong and how to mend it."""
