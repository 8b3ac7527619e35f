"""The stand-alone verifier, kept in three files and handed out as one: ``verify.py``.

It uses the standard library alone and speaks Python 3.8, so that it runs where this project never was.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_PARTS = ("formats.py", "told.py", "program.py")
_CUT = "# ── cut here ──\n"
_FUTURE = "from __future__ import annotations\n"


@lru_cache(maxsize=1)
def source() -> bytes:
    """The program as one file: the first part's docstring, all imports of the standard library, and every body."""
    heads, bodies = [], []
    for name in _PARTS:
        head, _cut, body = (Path(__file__).parent / name).read_text().partition(_CUT)
        heads.append(head)
        bodies.append(body.strip("\n"))
    docstring = heads[0].partition(_FUTURE)[0]
    lines = {line for head in heads for line in head.splitlines() if line.startswith(("import ", "from "))}
    imports = sorted(line for line in lines if not line.startswith(("from __future__", "from audit")))
    return (docstring + _FUTURE + "\n" + "\n".join(imports) + "\n\n" + "\n\n\n".join(bodies) + "\n").encode()
