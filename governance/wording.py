"""Findings in the words of the people who read them: conditions, near misses, and what several findings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from governance.policies.facts import NOWHERE

Finding = Mapping[str, Any]
#: What a safeguard that lacks a condition of the shipped packs is or does, after «it».
_LACKS: dict[str, str | Promise] = {
    "active": gettext_lazy("is not active"),
    "not_expired": gettext_lazy("has expired"),
    "covers_subject": gettext_lazy("does not cover %(subject)s"),
    "covers_region": gettext_lazy("does not cover the region %(region)s"),
    "type_allowed": gettext_lazy("is of a type that the rule does not accept"),
    "cert_not_for_sensitive": gettext_lazy("is a certificate, which is not enough for sensitive data"),
    "risk_assessed": gettext_lazy("has no risk assessment"),
    "made_under": gettext_lazy("was made under another law"),
}


#: The kinds of flows, as people say them.
KINDS: dict[str, str | Promise] = {
    "dataset": gettext_lazy("data set"),
    "serving": gettext_lazy("serving"),
    "inference_log": gettext_lazy("inference log"),
    "backup": gettext_lazy("backup"),
    "support_access": gettext_lazy("support access"),
    "explanation_job": gettext_lazy("explanation job"),
}
#: The same of a piece of evidence.
_LACKS_AS_EVIDENCE: dict[str, str | Promise] = {
    "of_type": gettext_lazy("is of another type"),
    "for_these_files": gettext_lazy("was made for other files"),
    "for_this_place": gettext_lazy("was made for another environment"),
    "active": gettext_lazy("is withdrawn"),
    "valid_now": gettext_lazy("has expired, has no end or is dated in the future"),
    "independent": gettext_lazy("was recorded by somebody who may have trained the version"),
}
#: The same of an explanation.
_LACKS_AS_EXPLANATION: dict[str, str | Promise] = {
    "of_method": gettext_lazy("was made by another method"),
    "counts": gettext_lazy("is a draft"),
    "for_these_files": gettext_lazy("explains other files"),
    "fresh": gettext_lazy("is stale"),
    "stable": gettext_lazy("is not stable"),
    "repeatable": gettext_lazy("cannot be run again, because rows of it were erased"),
    "enough_rows": gettext_lazy("has too few rows"),
    "recent": gettext_lazy("is too old"),
    "in_this_place": gettext_lazy("asked the model in another environment"),
}
#: What an engine's finding says it failed when no piece of evidence, or no explanation, is enough.
EVIDENCE, EXPLANATION = "evidence", "explanation"
#: The condition of being of the kind that is asked for: what fails it is not close.
_OTHER_KIND = {EVIDENCE: "of_type", EXPLANATION: "of_method"}


@dataclass(frozen=True, slots=True)
class Said:
    """Findings of one rule that share everything but what they speak about. ``messages`` has one when it can."""

    messages: tuple[str, ...]
    path: tuple[str, ...]
    closest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """How to pass, and the page for it: a path of this site or empty."""

    text: str
    where: str


def is_problem(finding: Finding) -> bool:
    """Whether the finding says that something is wrong which nothing excuses. An error is never excused."""
    return finding["outcome"] == "error" or (finding["outcome"] == "fail" and not finding.get("waived_by"))


def blocks(finding: Finding) -> bool:
    """Whether the finding alone forbids the action, as the engine's own ``Finding.blocks`` says."""
    return finding["severity"] == "block" and is_problem(finding)


def lacking(condition: str, finding: Finding) -> str:
    """What a safeguard, evidence or an explanation that fails ``condition`` is or does. A condition of somebody's own
    pack is named by its name."""
    asks = {EVIDENCE: _LACKS_AS_EVIDENCE, EXPLANATION: _LACKS_AS_EXPLANATION}
    words = asks.get(_asks(finding), _LACKS).get(condition)
    if words is None:
        return _("lacks «%(condition)s»") % {"condition": condition.replace("_", " ")}
    facts = finding.get("facts") or {}
    region = str(facts.get("claimed_region") or facts.get("region") or "")
    if region in ("", NOWHERE):
        region = _("where the data are")
    return str(words) % {"subject": finding.get("subject", ""), "region": region}


def closest(finding: Finding) -> tuple[str, ...]:
    """A sentence for each safeguard, piece of evidence or explanation that lacks least; those that lack more are left
    to the stored decision, and so is evidence of another type, which is not close."""
    asks = _asks(finding)
    misses = [each for each in finding.get("closest") or () if _OTHER_KIND.get(asks) not in each["failed"]]
    least = min((len(each["failed"]) for each in misses), default=0)
    said = []
    for each in misses:
        if len(each["failed"]) == least:
            why = _(" and ").join(lacking(str(name), finding) for name in each["failed"])
            told = {"id": each["id"], "why": why}
            said.append(_closest(asks) % told)
    return tuple(said)


def _closest(asks: str) -> str:
    if asks == EVIDENCE:
        return _("%(id)s is the closest evidence: it %(why)s.")
    if asks == EXPLANATION:
        return _("%(id)s is the closest explanation: it %(why)s.")
    return _("%(id)s is the closest safeguard: it %(why)s.")


def _asks(finding: Finding) -> str:
    """What the rule needs one of; empty when it needs none."""
    failed = finding.get("failed") or ()
    return next((each for each in (EVIDENCE, EXPLANATION) if each in failed), "")


def merged(problems: Sequence[Finding]) -> list[Said]:
    """Problems of one rule in their order; those with the same subject, path and near misses become one."""
    groups: dict[tuple[Any, ...], list[Finding]] = {}
    for each in problems:
        key = (each["subject"], tuple(each["path"]), tuple(each["failed"]), each["outcome"], closest(each))
        groups.setdefault(key, []).append(each)
    return [Said(_messages(group), key[1], key[4]) for key, group in groups.items()]


def _messages(group: Sequence[Finding]) -> tuple[str, ...]:
    """One message with all kinds in its brackets when the messages differ in nothing else."""
    kinds = [str((each.get("facts") or {}).get("kind", "")) for each in group]
    plain = [name.replace("_", " ") for name in kinds]
    messages = [
        str(each["message"]).replace(f"({name})", f"({word})")
        for each, name, word in zip(group, kinds, plain, strict=True)
    ]
    bare = {text.replace(f"({word})", "()") for text, word in zip(messages, plain, strict=True)}
    if len(group) > 1 and len(bare) == 1 and "()" in (shared := bare.pop()):
        return (shared.replace("()", f"({', '.join(sorted(plain, reverse=True))})", 1),)
    return tuple(dict.fromkeys(messages))


def remedies(problems: Sequence[Finding]) -> list[Remedy]:
    """Each way to pass once, as the pack words it, with its page when that is on this site."""
    found = {}
    for each in problems:
        text, where = str(each["remedy"]).rstrip("."), str(each["where"])
        if text:
            found[text] = Remedy(text, where if where.startswith("/") and not where.startswith("//") else "")
    return list(found.values())


def suppliers(problems: Sequence[Finding]) -> list[str]:
    """The roles that can supply what is missing, each once, in the order of the pack."""
    return list(dict.fromkeys(str(role) for each in problems for role in each["who"]))
