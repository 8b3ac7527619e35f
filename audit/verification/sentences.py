"""What worker processes found, in the words of whoever asks."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.verification.shown import Problem

_WORDS: dict[str, Promise] = {
    "entry.missing": gettext_lazy("its bytes are missing"),
    "entry.hash": gettext_lazy("its bytes do not have the hash that is in the tree"),
    "entry.canonical": gettext_lazy("its bytes are not canonical: %(detail)s"),
    "entry.row": gettext_lazy("its id or object differs from the row that holds it"),
    "event.missing": gettext_lazy("the list does not show it"),
    "event.differs": gettext_lazy("the list shows something else than its bytes say"),
    "private.missing": gettext_lazy("the private value «%(detail)s» is missing without an erasure"),
    "private.added": gettext_lazy("a private value «%(detail)s» was added later"),
    "private.differs": gettext_lazy("the private value «%(detail)s» is not the one that was recorded"),
    "tile.differs": gettext_lazy("tile %(detail)s does not fit the entries from here on"),
    "tile.missing": gettext_lazy("tile %(detail)s, which ends here, is missing"),
}


def sentence(problem: Problem) -> str:
    """One problem with the number of its entry."""
    index, code, detail = problem
    if code == "leaf.missing":
        if detail:
            return _("entry #%(wanted)d is missing: the next is #%(index)s") % {"wanted": index, "index": detail}
        return _("entry #%(wanted)d is missing") % {"wanted": index}
    words = str(_WORDS[code]) % {"detail": detail}
    return _("entry #%(index)d: %(problem)s") % {"index": index, "problem": words}
