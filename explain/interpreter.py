"""How Python is set in a process that explains: measured with ``explain_limit``, where it is a tenth of the time."""

from __future__ import annotations

import gc
import sys

#: Seconds after which a computing thread lets another one run: an answer that has come waits so long to be read.
SWITCH = 0.0005
#: Containers between two collections. Answers are lists of lists, ten thousand at once, and none is part of a cycle.
CONTAINERS = 50_000


def settle() -> None:
    """Call once when the process has its libraries; what is there by now is no garbage and is not looked at again."""
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(CONTAINERS, 20, 100)
