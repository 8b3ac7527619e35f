"""Ways to pass in the words of the people who go them: what to do, who can, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import Resolver404, resolve
from django.utils.functional import Promise
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from governance.models.roles import Role
from governance.models.transfer import SafeguardType
from governance.policies.actions import Action
from governance.policies.ways import Stuck, Way, Ways

#: Subjects that a sentence names; more are counted.
_NAMED = 3
_CHANGES: dict[str, str | Promise] = {
    "status": gettext_lazy("is approved"),
    "expires_at": gettext_lazy("has an end that is not past"),
    "subjects": gettext_lazy("covers more"),
    "regions": gettext_lazy("covers more"),
    "risk_assessment_at": gettext_lazy("has an assessment of the risk"),
}
_UNKNOWNS: dict[str, str | Promise] = {
    "classification": gettext_lazy("how sensitive they are"),
    "data_subjects": gettext_lazy("whose they are"),
    "region": gettext_lazy("where they lie"),
}
_WHY: dict[str, str | Promise] = {
    "error": gettext_lazy("A rule gives neither yes nor no; the policy itself has to be mended."),
    "no_pack": gettext_lazy("No policy that is known here speaks for it; one has to be drafted and activated."),
    "lineage": gettext_lazy("Nothing is recorded about the data behind the version; link its run and data sets first."),
    "served": gettext_lazy("What is served is as unknown as the data behind it."),
    "rejected": gettext_lazy("A person who may sign has rejected it; only a new promotion can pass."),
    "signoffs": gettext_lazy("Who has to sign cannot be decided; the policy itself has to be mended."),
    "too_many": gettext_lazy("It would need more than could be tried; mend what is named most often and ask again."),
    "no_action": gettext_lazy("None of the actions that were tried changes it."),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the list. ``where`` is a path of this site, or empty."""

    text: str
    who: str
    where: str


def steps(way: Way) -> list[Step]:
    """The actions in order, and at last the signatures that would still be missing."""
    found = [Step(sentence(each), said_roles(each.who), linked(each.where)) for each in way.actions]
    if way.signoff.get("missing"):
        found.append(Step(_signatures(way), "", ""))
    return found


def sentence(action: Action) -> str:
    """What to do, in one or two sentences."""
    return _SENTENCES[action.kind](action.details())


def reason(stuck: Stuck) -> str:
    """Why nothing cures it."""
    return str(_WHY[stuck.why])


def computed(found: Ways) -> str:
    """What was done to find this, and what that does not show."""
    tried = ngettext("%(count)d action was tried", "%(count)d actions were tried", found.tried) % {"count": found.tried}
    if not found.complete:
        holds = _("not every combination could be tried, so a smaller set may exist")
    elif any(way.temporary for way in found.ways):
        holds = _("without a waiver no smaller set of them would do")
    elif found.ways:
        holds = _("no smaller set of them would do")
    else:
        holds = _("no set of up to %(count)d of them would do") % {"count": found.depth}
    return _(
        "Found by deciding again %(times)d times on the facts of then: %(tried)s, and %(holds)s. What has changed since"
        " is not in it: ask the gate again afterwards."
    ) % {"times": found.evaluations, "tried": tried, "holds": holds}


def said_roles(roles: Sequence[str]) -> str:
    """«data-protection officer or compliance officer»."""
    names = dict(Role.choices)
    return get_text_list([str(names.get(role, role)) for role in roles], _("or"))


def linked(path: str) -> str:
    """The path when this site has such a page."""
    try:
        resolve(path)
    except Resolver404:
        return ""
    return path


def _signatures(way: Way) -> str:
    names = dict(Role.choices)
    missing = way.signoff["missing"]
    who = get_text_list([f"{each['n']} {names.get(each['role'], _('person'))}" for each in missing], _("and"))
    if way.actions:
        return _("Then these sign, who see what has changed: %(who)s. Earlier signatures do not count for it.") % {
            "who": who
        }
    return _("These have to sign: %(who)s.") % {"who": who}


def _listed(subjects: Sequence[str]) -> str:
    """The names of a few, and how many more."""
    names = [each.partition(":")[2] or each for each in subjects]
    if len(names) > _NAMED + 1:
        rest = len(names) - _NAMED
        more = ngettext("%(count)d more", "%(count)d more", rest) % {"count": rest}
        names = [*names[:_NAMED], more]
    return get_text_list(names, _("and"))


def _approve(told: Mapping[str, Any]) -> str:
    return _("Approve the safeguard %(id)s: it was recorded and waits for its second person.") % {
        "id": told["safeguard"]
    }


def _renew(told: Mapping[str, Any]) -> str:
    changes = list(dict.fromkeys(str(_CHANGES[name]) for name in told["changes"]))
    text = _("Renew the safeguard %(id)s: record another in its place that %(changes)s; a second person approves it.")
    text %= {"id": told["safeguard"], "changes": get_text_list(changes, _("and"))}
    if told["added"]:
        text += " " + _("It has to cover %(what)s as well.") % {"what": _listed(told["added"])}
    return text


def _record(told: Mapping[str, Any]) -> str:
    labels = dict(SafeguardType.choices)
    values = {
        "types": get_text_list([str(labels.get(each, each)) for each in told["types"]], _("or")),
        "law": told["law"],
        "subjects": _listed(told["subjects"]),
        "regions": get_text_list(told["regions"], _("and")),
    }
    if not told["law"]:
        text = _("Record a safeguard for %(subjects)s in %(regions)s: %(types)s.")
    else:
        text = _("Record a safeguard under the law of %(law)s for %(subjects)s in %(regions)s: %(types)s.")
    return text % values + " " + _("It needs an end, an assessment of the risk, and a second person who approves it.")


def _describe(told: Mapping[str, Any]) -> str:
    tried = told["tried"]
    unknown = get_text_list([str(_UNKNOWNS[name]) for name in tried], _("and"))
    values = ", ".join(", ".join(each) if isinstance(each, list) else str(each) for each in tried.values())
    return _(
        "Record of %(subjects)s what nobody has recorded: %(unknown)s. Tried was “%(values)s”, which would pass; if the"
        " truth is another, record that and ask again."
    ) % {"subjects": _listed(told["subjects"]), "unknown": unknown, "values": values}


def _complete(told: Mapping[str, Any]) -> str:
    if told["field"] == "digest":
        text = _("Register %(subject)s again with its files, so that its digest is known.")
    else:
        text = _("Import the training run of %(subject)s, or record who trained it.")
    return text % {"subject": told["subject"].partition(":")[2]}


def _activate(told: Mapping[str, Any]) -> str:
    return _("Put the policy %(pack)s, version %(version)d, in force: it speaks where no policy in force does.") % {
        "pack": told["pack"],
        "version": told["version"],
    }


def _move(told: Mapping[str, Any]) -> str:
    values = {
        "subjects": _listed(told["subjects"]),
        "from": told["from"],
        "to": get_text_list(told["to"], _("or")),
    }
    if told["flow"] == "dataset":
        return _("Move %(subjects)s from %(from)s to %(to)s.") % values
    if told["flow"] == "serving":
        return _("Serve in %(subjects)s from %(to)s instead of %(from)s.") % values
    if told["flow"] == "inference_log":
        return _("Write the inference logs of %(subjects)s to %(to)s instead of %(from)s.") % values
    values["kind"] = str(told["flow"]).replace("_", " ")
    return _("Move %(kind)s of %(subjects)s from %(from)s to %(to)s.") % values


def _supply(told: Mapping[str, Any]) -> str:
    return _("Supply evidence of the type “%(type)s” about this version.") % {"type": told["type"]}


def _explain(told: Mapping[str, Any]) -> str:
    return _("Explain this version with %(method)s at its endpoint, until the job ends as evidence.") % {
        "method": str(told["method"]).upper()
    }


def _approve_waiver(told: Mapping[str, Any]) -> str:
    return _("Approve the waiver %(id)s of %(rule)s as a second person. It ends, and what it excuses stays wrong.") % {
        "id": told["waiver"],
        "rule": told["rule"],
    }


def _waive(told: Mapping[str, Any]) -> str:
    return _(
        "Waive %(rule)s for %(subjects)s for a time, with a second person who approves it. It ends, and what it excuses"
        " stays wrong."
    ) % {"rule": told["rule"], "subjects": _listed(told["subjects"])}


def _lift(told: Mapping[str, Any]) -> str:
    return _("Lift the freeze of %(incident)s once its cause is gone; who froze it cannot lift it.") % {
        "incident": told["incident"]
    }


def _review(told: Mapping[str, Any]) -> str:
    return _("Review %(emergency)s, ratified or not: who declared or confirmed it cannot.") % {
        "emergency": told["emergency"]
    }


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "approve_safeguard": _approve,
    "renew_safeguard": _renew,
    "record_safeguard": _record,
    "describe_data": _describe,
    "complete_version": _complete,
    "activate_pack": _activate,
    "move": _move,
    "supply_evidence": _supply,
    "run_explanation": _explain,
    "approve_waiver": _approve_waiver,
    "record_waiver": _waive,
    "lift_incident": _lift,
    "review_emergency": _review,
}
