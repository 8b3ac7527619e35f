"""The shipped packs once more, in plain Python: written from our paraphrase of each law, not from the YAML.

Each function says what the pack's rules are to answer about one flow, or about the version; ``expected`` adds what the
engine itself guarantees (coverage, no allow by absence) and gives the word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from governance.policies import FlowFact, SafeguardFact
from tests.governance.policies.cases import NOW
from tests.governance.policies.dice import CALM, EVIDENCE, Throw
from tests.governance.policies.oracle_papers import explained, shown

#: rule, subject, region as claimed, kind -> pass, fail or not_applicable
Answers = dict[tuple[str, str, str, str], str]
Judge = Callable[[FlowFact, Sequence[SafeguardFact], Throw], bool | None]


@dataclass(frozen=True)
class Law:
    """One pack: what it says of each flow and of the version (rule -> answer, None for not applicable)."""

    of_flows: Mapping[str, Judge]
    of_version: Mapping[str, Callable[[Throw], bool | None]]
    #: Whose people its residency rules speak about, and which rules those are.
    people: frozenset[str] = frozenset()
    residency: frozenset[str] = frozenset()
    #: Rules that only warn.
    warns: frozenset[str] = frozenset()
    #: Where the random cases should lie so that both answers are frequent.
    home: tuple[str, ...] = ("gcp:me-central2",)
    subjects: tuple[str, ...] = ("SA",)
    classes: tuple[str, ...] = CALM
    law: str = ""
    #: What else the random cases should be like: risk of a calm model, kinds of evidence, moments.
    risks: tuple[str, ...] = ("high", "high", "limited")
    kinds: tuple[str, ...] = ()
    moments: tuple[datetime, ...] = (NOW,)
    #: Packs that are active beside it; and whether it is asked as an organisation enforces it, every rule blocking.
    beside: tuple[str, ...] = ()
    enforced: bool = False
    #: Under whose law most of the random safeguards are made; empty for ``law``.
    made_under: str = ""


def personal(one: FlowFact) -> bool:
    return one.classification != "none"


def sensitive(one: FlowFact) -> bool:
    """Anything but plain personal data, so also data whose class nobody knows."""
    return one.classification not in ("none", "personal")


def people(one: FlowFact) -> set[str]:
    """Jurisdictions of the people; nobody named means nobody knows."""
    return set(one.data_subjects) or {"unknown"}


def place(one: FlowFact) -> str:
    """Where the bytes surely are: a region that is not available yet is nowhere."""
    return one.region if one.region and one.confirmed else "nowhere"


def guards(one: FlowFact, guard: SafeguardFact, law: str, types: Iterable[str]) -> bool:
    """What every law asks of a mechanism: its own, of a known kind, in force, for these data here, not ended."""
    return (
        guard.law == law
        and guard.type in set(types)
        and guard.status == "active"
        and one.subject in guard.subjects
        and place(one) in guard.regions
        and guard.expires_at is not None
        and guard.expires_at > NOW
    )


def assessed(guard: SafeguardFact) -> bool:
    return guard.risk_assessment_at is not None and guard.risk_assessment_at <= NOW


KINGDOM = ("gcp:me-central2", "oci:me-jeddah-1", "oci:me-riyadh-1", "country:SA")


def saudi(one: FlowFact, safeguards: Sequence[SafeguardFact], _case: Throw) -> bool | None:
    """Transfer Regulation: the Kingdom's regions, or one of three mechanisms with an assessment of the risk."""
    if not personal(one) or not people(one) & {"SA", "unknown"}:
        return None
    if place(one) in KINGDOM or place(one).startswith("onprem:ksa-"):
        return True
    return any(
        guards(one, guard, "SA", ["SCC", "BCR", "ACCREDITATION_CERT"])
        and assessed(guard)
        and not (guard.type == "ACCREDITATION_CERT" and sensitive(one))
        for guard in safeguards
    )


UAE = ("aws:me-central-1", "azure:uaenorth", "oci:me-dubai-1", "oci:me-abudhabi-1", "alibaba:me-east-1", "country:AE")


def emirates(one: FlowFact, safeguards: Sequence[SafeguardFact], _case: Throw) -> bool | None:
    """Federal Decree-Law 45/2021: the country's regions, or a contract that imposes the law's requirements."""
    if not personal(one) or not people(one) & {"AE", "AE-federal", "unknown"}:
        return None
    if place(one) in UAE or place(one).startswith("onprem:uae-"):
        return True
    return any(guards(one, guard, "AE-federal", ["SCC", "BCR"]) for guard in safeguards)


EEA = frozenset(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO".split()  # noqa: SIM905
)


def zone(law: str, prefix: str, types: Sequence[str]) -> Judge:
    """A financial centre: its own law, and no cloud lies inside; the country around it is abroad, also for people who
    look at the data from there.
    """

    def judge(one: FlowFact, safeguards: Sequence[SafeguardFact], case: Throw) -> bool | None:
        presumed = one.perimeter or case.environment.perimeter or law
        if not personal(one) or (presumed != law and law not in people(one)):
            return None
        inside = place(one).startswith(prefix) or place(one) == f"country:{law}"
        return inside or any(guards(one, guard, law, types) for guard in safeguards)

    return judge


def union(one: FlowFact, safeguards: Sequence[SafeguardFact], case: Throw) -> bool | None:
    """Chapter V: data under the GDPR or of people in the EEA lie in the EEA, or go under clauses or binding rules."""
    nobody_said = not one.perimeter and not case.environment.perimeter
    if not personal(one) or not (one.perimeter == "EU" or nobody_said or people(one) & (EEA | {"EU"})):
        return None
    inside = place(one) != "nowhere" and one.country in EEA
    return inside or any(guards(one, guard, "EU", ["SCC", "BCR"]) for guard in safeguards)


def law_of_a_set(one: FlowFact, _safeguards: Sequence[SafeguardFact], case: Throw) -> bool | None:
    """Used in the Union: it is recorded where a data set was gathered."""
    if not personal(one) or one.kind != "dataset" or case.environment.perimeter != "EU":
        return None
    return bool(one.perimeter)


def high_risk_live(case: Throw) -> bool:
    """High risk, or a risk that nobody rated, where it answers real people; an unknown tier counts as such."""
    return case.model.risk in ("high", "") and case.environment.tier != "staging"


def trained(case: Throw) -> bool | None:
    return bool(case.version.trained_by) if high_risk_live(case) else None


def trained_by_accounts(case: Throw) -> bool | None:
    return all(who[:5] == "user:" for who in case.version.trained_by) if high_risk_live(case) else None


def has_digest(case: Throw) -> bool:
    scheme, _, digits = case.version.digest.partition(":")
    return scheme == "sha256" and len(digits) == 64 and set(digits) <= set("0123456789abcdef")


def described(one: FlowFact, _safeguards: Sequence[SafeguardFact], _case: Throw) -> bool | None:
    if one.kind != "dataset":
        return None
    classified = one.classification in ("none", "personal", "sensitive", "special")
    return classified and place(one) != "nowhere" and not (personal(one) and "unknown" in people(one))


def nobody_unknown(case: Throw) -> bool:
    return not any(personal(one) and "unknown" in people(one) for one in case.flows)


def to_explain(case: Throw) -> bool:
    return forward(case) and case.model.risk in ("high", "")


UNION = EEA - {"IS", "LI", "NO"} | {"EU"}


def concerned(case: Throw, whose: frozenset[str]) -> bool:
    """People of that law are in the data, or people of whom nobody knows; data that are about nobody concern nobody."""
    named = {who for one in case.flows for who in (people(one) if personal(one) else one.data_subjects)}
    return bool(named & (whose | {"unknown"}))


def when(applies: Callable[[Throw], bool], kind: str, **more: bool) -> Callable[[Throw], bool | None]:
    return lambda case: shown(case, kind, **more) if applies(case) else None


def in_union(case: Throw) -> bool:
    return high_risk_live(case) and concerned(case, UNION)


def only_the_place(whose: frozenset[str]) -> Callable[[Throw], bool]:
    return lambda case: high_risk_live(case) and case.environment.perimeter == "EU" and not concerned(case, whose)


def decided_about(case: Throw) -> bool:
    return high_risk_live(case) and any(map(personal, case.flows)) and concerned(case, EEA | {"EU"})


def forward(case: Throw) -> bool:
    return case.environment.tier != "staging" and case.promotion.action != "rollback"


#: Of the AI Act: article 86, and chapter III for annex III (article 113 as amended).
ARTICLE_86 = datetime(2026, 8, 2, tzinfo=UTC)
CHAPTER_3 = datetime(2027, 12, 2, tzinfo=UTC)
LAWS: dict[str, Law] = {
    "ksa-pdpl": Law({"SA-RES-001": saudi}, {}, frozenset({"SA"}), frozenset({"SA-RES-001"}), made_under="SA"),
    "uae-pdpl": Law(
        {"AE-RES-001": emirates},
        {},
        frozenset({"AE", "AE-federal"}),
        frozenset({"AE-RES-001"}),
        home=("azure:uaenorth", "onprem:uae-1"),
        subjects=("AE", "AE-federal"),
        made_under="AE-federal",
    ),
    "registry-hygiene": Law(
        {"REG-003": described},
        {
            "REG-001": has_digest,
            "REG-002": lambda case: bool(case.version.trained_by),
            "REG-004": nobody_unknown,
        },
        classes=("none",),
    ),
    "adgm-dpr": Law(
        {"ADGM-RES-001": zone("AE-ADGM", "onprem:adgm-", ["SCC"])},
        {},
        frozenset({"AE-ADGM"}),
        frozenset({"ADGM-RES-001"}),
        home=("onprem:adgm-1",),
        subjects=("AE-ADGM",),
        law="AE-ADGM",
    ),
    "difc-dpl": Law(
        {"DIFC-RES-001": zone("AE-DIFC", "onprem:difc-", ["SCC", "BCR"])},
        {},
        frozenset({"AE-DIFC"}),
        frozenset({"DIFC-RES-001"}),
        home=("onprem:difc-1",),
        subjects=("AE-DIFC",),
        law="AE-DIFC",
    ),
    "qfc-dpr": Law(
        {"QFC-RES-001": zone("QA-QFC", "onprem:qfc-", ["SCC"])},
        {},
        frozenset({"QA-QFC"}),
        frozenset({"QFC-RES-001"}),
        home=("onprem:qfc-1",),
        subjects=("QA-QFC",),
        law="QA-QFC",
    ),
    "gdpr-transfers": Law(
        {"GDPR-RES-001": union, "GDPR-RES-002": law_of_a_set},
        {},
        EEA | {"EU"},
        frozenset({"GDPR-RES-001"}),
        warns=frozenset({"GDPR-RES-002"}),
        home=("aws:eu-central-1",),
        subjects=("DE", "EU"),
        law="EU",
    ),
    "independence-of-validation": Law(
        {}, {"IOV-001": trained, "IOV-002": trained_by_accounts}, warns=frozenset({"IOV-002"}), classes=("none",)
    ),
    "eu-ai-act": Law(
        {},
        {
            "AIA-086": when(lambda case: in_union(case) and case.now >= ARTICLE_86, "explanation"),
            "AIA-086-PLACE": when(lambda case: only_the_place(UNION)(case) and case.now >= ARTICLE_86, "explanation"),
        },
        warns=frozenset({"AIA-086-PLACE"}),
        subjects=("EU", "DE"),
        classes=("none",),
        risks=("high",),
        kinds=("explanation",),
        moments=(ARTICLE_86 - timedelta(seconds=1), ARTICLE_86, *[NOW] * 5),
    ),
    "eu-ai-act-chapter-3": Law(
        {},
        {
            "AIA-012": when(lambda case: in_union(case) and case.now >= CHAPTER_3, "logging"),
            "AIA-014": when(lambda case: in_union(case) and case.now >= CHAPTER_3, "human_oversight"),
        },
        subjects=("EU", "DE"),
        classes=("none",),
        risks=("high",),
        kinds=("logging", "human_oversight"),
        moments=(CHAPTER_3 - timedelta(seconds=1), *[CHAPTER_3 + timedelta(days=day) for day in range(5)]),
    ),
    "gdpr-art-22": Law(
        {"GDPR-RES-001": union, "GDPR-RES-002": law_of_a_set},
        {
            "GDPR-22-001": when(decided_about, "human_oversight"),
            "GDPR-22-002": when(decided_about, "explanation"),
            "GDPR-22-003": when(lambda case: decided_about(case) and any(map(sensitive, case.flows)), "dpia"),
            "GDPR-22-PLACE": when(
                lambda case: only_the_place(EEA | {"EU"})(case) and any(map(personal, case.flows)), "human_oversight"
            ),
        },
        EEA | {"EU"},
        frozenset({"GDPR-RES-001"}),
        warns=frozenset({"GDPR-22-PLACE", "GDPR-RES-002"}),
        home=("aws:eu-central-1",),
        subjects=("DE", "EU"),
        law="EU",
        risks=("high",),
        kinds=("explanation", "human_oversight", "dpia"),
        beside=("gdpr-transfers",),
    ),
    "deployment-readiness": Law(
        {},
        {
            "READY-001": when(forward, "validation_report", independent=True),
            "READY-002": when(forward, "container", open_end=True),
            "READY-003": when(forward, "intended_use", open_end=True),
            "READY-004": when(forward, "fairness"),
            "READY-005": when(forward, "privacy_check"),
            "READY-006": when(forward, "monitoring_plan"),
            "READY-007": when(forward, "rollback_drill", here=True),
        },
        classes=("none",),
        kinds=EVIDENCE[:7],
        enforced=True,
    ),
    "explained-models": Law(
        {},
        {
            "XPL-001": lambda case: explained(case, method="shap", rows=20, recent=True) if to_explain(case) else None,
            "XPL-002": lambda case: explained(case, method="lime", recent=True) if to_explain(case) else None,
            "XPL-003": lambda case: (
                explained(case, here=True)
                if to_explain(case) and case.promotion.action in ("increase", "run")
                else None
            ),
        },
        classes=("none",),
        risks=("high",),
        enforced=True,
    ),
}


def expected(law: Law, case: Throw) -> tuple[Answers, str]:
    """What the engine must answer when this pack alone is active, and its word.

    ``not_applicable`` stands once, for the version, when a rule applied to nothing.
    """
    answers: Answers = {}
    spoken: dict[int, bool] = {}
    for rule, judge in law.of_flows.items():
        judged = [judge(one, case.safeguards, case) for one in case.flows]
        for position, (one, answer) in enumerate(zip(case.flows, judged, strict=True)):
            if answer is not None:
                answers[rule, one.subject, one.region, one.kind] = "pass" if answer else "fail"
                spoken[position] = spoken.get(position, False) or rule in law.residency
        if all(answer is None for answer in judged):
            answers[rule, case.version.subject, "", ""] = "not_applicable"
    for rule, of in law.of_version.items():
        found = of(case)
        answers[rule, case.version.subject, "", ""] = "not_applicable" if found is None else "pass" if found else "fail"
    uncovered = False
    for position, one in enumerate(case.flows):
        covered = spoken.get(position) and people(one) <= law.people and one.perimeter in (*law.people, "")
        uncovered |= personal(one) and not covered
    blocking = {word for (rule, *_), word in answers.items() if rule not in law.warns}
    if uncovered or "fail" in blocking:
        return answers, "deny"
    return answers, "allow" if "pass" in blocking else "error"
