"""Why an analysis gives no answer, as a sentence for whoever asked."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from audit.refusals import Refused
from explain.methods.refused import CannotSay

_SENTENCES: dict[str, Promise] = {
    "compare.conditions": gettext_lazy(
        "These explanations cannot be compared, because they were asked differently: %(differing)s. Ask both versions "
        "the same question."
    ),
    "compare.columns": gettext_lazy("These explanations cannot be compared: the columns differ."),
    "compare.rows": gettext_lazy("These explanations cannot be compared: they are about other rows."),
    "compare.nothing": gettext_lazy("These explanations cannot be compared: no row has a result in both."),
    "drift.conditions": gettext_lazy(
        "Drift cannot be measured between these explanations, because they differ in more than the sample: "
        "%(differing)s."
    ),
    "drift.too_few": gettext_lazy(
        "Too few rows to say: there are %(reference)s and %(current)s, and each side needs %(least)s."
    ),
    "fairness.groups": gettext_lazy("There are %(count)s groups; at most %(most)s can be told apart."),
    "fairness.too_few": gettext_lazy(
        "Too few to say: at least two groups need 30 people each, and there are %(sizes)s."
    ),
    "fairness.score": gettext_lazy("A row has no prediction."),
    "fairness.label": gettext_lazy("A true outcome is 0 or 1."),
    "group.empty": gettext_lazy("The group “%(group)s” needs a name and at least one column."),
    "group.column_unknown": gettext_lazy("The group “%(group)s” names “%(column)s”, which is no column."),
    "group.column_twice": gettext_lazy("The column “%(column)s” is in the group “%(group)s” and elsewhere."),
    "group.name_taken": gettext_lazy("The group “%(group)s” has the name of a column that is not in it."),
    "reasons.lime": gettext_lazy("LIME describes a neighbourhood, not the decision: it gives no reasons for it."),
    "reasons.row_failed": gettext_lazy("Row “%(row)s” has no result, so there are no reasons."),
    "reasons.not_finite": gettext_lazy("Row “%(row)s” has a result that is no finite number."),
    "reasons.not_additive": gettext_lazy("The contributions of row “%(row)s” do not add up to its prediction."),
    "reasons.not_converged": gettext_lazy(
        "The contributions of row “%(row)s” did not reach the tolerance: explain it again at a finer level."
    ),
    "reasons.scale": gettext_lazy(
        "This was explained as %(scale)s, and the decision is made on %(decision)s: explain it on that scale."
    ),
    "reasons.not_adverse": gettext_lazy(
        "Row “%(row)s” was not decided adversely: its prediction is %(fx)s, the decision turns at %(threshold)s."
    ),
    "sample.empty": gettext_lazy("There are no rows to choose from."),
    "sample.size": gettext_lazy("A sample has at least one row."),
    "sample.score": gettext_lazy("Row %(position)s has no prediction to be sorted by."),
}
_CONDITIONS: dict[str, Promise] = {
    "version": gettext_lazy("the version"),
    "columns": gettext_lazy("the columns"),
    "rows": gettext_lazy("the rows"),
    "background": gettext_lazy("the background"),
    "seed": gettext_lazy("the seed"),
    "method": gettext_lazy("the method"),
    "output": gettext_lazy("the explained output"),
    "scale": gettext_lazy("the scale"),
    "groups": gettext_lazy("the groups of columns"),
}


def in_words(error: CannotSay) -> str:
    """The sentence for ``error``."""
    return str(_SENTENCES[error.code]) % {name: _told(value) for name, value in error.facts.items()}


def refusal(error: CannotSay) -> Refused:
    """``error`` as what a page or the API answers."""
    return Refused(in_words(error), code=f"explanation.{error.code}")


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(str(_CONDITIONS.get(name, name)) for name in value)
    if isinstance(value, dict):
        return ", ".join(f"{name[:40]}: {count}" for name, count in list(value.items())[:8])
    return str(value)[:80]
