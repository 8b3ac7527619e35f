"""What a gate's line says about waivers: which one excuses it, or where one can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse

from governance import policies, queries, waivers, wording
from governance.gates import GateLine
from governance.models.decision import Decision
from governance.packs import active_packs


def fill(found: Sequence[GateLine], decision: Decision) -> dict[str, str]:
    """Give each line its waivers and the address that proposes one; the names of who approved. Three queries at most,
    none when no rule failed."""
    named = queries.waivers(str(each["waived_by"]) for line in found for each in line.excused)
    for line in found:
        line.waivers = [
            named[each] for each in sorted({str(one["waived_by"]) for one in line.excused}) if each in named
        ]
    failed = [line for line in found if line.pack and any(_can_fail(each) for each in line.problems)]
    waivable = _waivable() if failed else set()
    for line in failed:
        if (line.pack, line.rule) in waivable:
            line.propose = _address(line, decision)
    return queries.names({row.approved_by for row in named.values()}) if named else {}


def _can_fail(finding: wording.Finding) -> bool:
    return wording.blocks(finding) and finding["outcome"] == "fail"


def _waivable() -> set[tuple[str, str]]:
    try:
        return waivers.waivable_rules(active_packs())
    except policies.PackError:
        return set()  # the gate says so itself; nothing can be proposed meanwhile


def _address(line: GateLine, decision: Decision) -> str:
    subjects = sorted({str(each["subject"]) for each in line.problems if _can_fail(each)})
    asked = [
        ("pack", line.pack),
        ("rule", line.rule),
        ("version", decision.version.subject),
        ("environment", decision.environment.slug),
        *(("subject", each) for each in subjects[: waivers.MOST_SUBJECTS]),
    ]
    return f"{reverse('governance:propose_waiver')}?{urlencode(asked)}"
