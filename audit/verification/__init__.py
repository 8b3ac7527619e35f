"""Verification of the whole log: everything is computed again from the stored bytes, nothing is sampled.

Three outcomes: ``verified``; ``failed`` with the first difference named; ``unknown`` when a part could not be checked,
which is never shown as fine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.verification.verdict import Step, Verdict

if TYPE_CHECKING:
    from audit.merkle.checkpoint import Vkey
    from audit.signer import Signing

__all__ = ["Step", "Verdict", "verify_log"]


def verify_log(
    signer: Signing | None,
    *,
    heads: Sequence[str] = (),
    vkeys: Sequence[Vkey] = (),
    number: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    state: Path | None = None,
) -> Verdict:
    """Verify the log over connections of its own, in one snapshot.

    ``signer`` gives the head that it signed last (None: unknown). ``heads`` are notes kept outside (a witness, an
    auditor), ``vkeys`` keys known from outside: the log's announced keys must be among them. ``progress`` is called
    with the entries read and their number. With ``state`` an interrupted run is resumed from that file. Raises
    ``psycopg.Error`` when the database cannot be read: that is «could not verify».
    """
    # Late: the processes that read ranges load this package without the application.
    from audit.verification import whole

    return whole.verify(signer, heads, vkeys, whole.log_number(number), progress, state)
