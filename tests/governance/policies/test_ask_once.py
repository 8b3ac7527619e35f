"""Each distinct question is asked once: what an expression can see is read off its text, and never too little."""

from __future__ import annotations

import pytest

from governance.policies import compile_pack, evaluate
from governance.policies.compile import CompiledPack, seen
from governance.policies.judging import Case
from tests.governance.policies.cases import NOW, facts, flow, pack, safeguard, shipped


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("flow.personal", ("personal",)),
        ("flow.region == 'x' && flow . country in flow.data_subjects", ("country", "data_subjects", "region")),
        ("now > now", ()),
        ("workflow.x || flow_x.y", ()),
        ("has(flow.region)", ("region",)),
        ("'flow.kind' == flow.region", ("kind", "region")),
        ("flow == flow", None),
        ("flow.region == '' || dyn(flow) == null", None),
        ("flow[region]", None),
        ("flow.`region` == ''", None),
        ("flow // a comment\n.region == ''", None),
        ("[flow].exists(f, f.region == '')", None),
    ],
)
def test_what_an_expression_can_see_of_a_flow(text: str, fields: tuple[str, ...] | None) -> None:
    assert seen(text, "flow") == fields


def test_two_flows_that_differ_in_what_is_read_are_two_questions() -> None:
    one, other = flow(subject="dataset:a"), flow(subject="dataset:b", region="aws:eu-central-1")
    for _ in range(2):
        found = evaluate(shipped("ksa-pdpl"), facts(one, other)).findings
        assert {each.subject: each.outcome for each in found} == {"dataset:a": "pass", "dataset:b": "fail"}


def test_a_whole_flow_tells_every_flow_apart() -> None:
    asks = compile_pack(pack("require: {ok: \"[flow].all(f, f.region == 'gcp:me-central2')\"}"))
    found = evaluate([asks], facts(flow(), flow(subject="dataset:b", region="oci:me-jeddah-1"))).findings
    assert {each.subject: each.outcome for each in found} == {"dataset:loans": "pass", "dataset:b": "fail"}


def _kept(packed: CompiledPack) -> dict[str, bool]:
    """Condition -> whether its answers outlive a decision."""
    groups = [group for rule in packed.rules for group in (rule.when, rule.require, rule.unless) if group]
    return {
        name: known is not None for group in groups for (name, _), known in zip(group.named, group.known, strict=True)
    }


def test_what_reads_the_clock_or_the_case_is_asked_anew_in_every_decision() -> None:
    kept = _kept(shipped("ksa-pdpl")[0])
    assert not kept["not_expired"]
    assert not kept["risk_assessed"]
    assert kept["in_region"]
    assert not any(_kept(shipped("registry-hygiene")[0])[name] for name in ("digest_known", "trainer_known"))
    covered = safeguard(expires_at=NOW.replace(second=5))
    abroad = flow(region="aws:eu-central-1")
    words = [
        evaluate(shipped("ksa-pdpl"), facts(abroad, safeguards=[covered], now=NOW.replace(second=second))).word
        for second in (4, 5, 4)
    ]
    assert words == ["allow", "deny", "allow"]


def test_one_packs_answers_are_never_anothers() -> None:
    here = pack('require: {ok: "flow.region in params.allowed"}', params="{allowed: ['gcp:me-central2']}")
    there = pack('require: {ok: "flow.region in params.allowed"}', params="{allowed: ['oci:me-jeddah-1']}")
    for text, outcome in ((here, "pass"), (there, "fail"), (here, "pass")):
        assert evaluate([compile_pack(text)], facts()).findings[-1].outcome == outcome


def test_an_error_is_not_kept() -> None:
    asks = compile_pack(pack("require: {ok: \"flow.data_subjects[1] == 'SA'\"}"))
    for _ in range(2):
        assert evaluate([asks], facts()).findings[0].outcome == "error"
    (known,) = asks.rules[0].require.known
    assert known == {}


def test_asking_by_position_says_what_asking_by_value_says() -> None:
    (packed,) = shipped("ksa-pdpl")
    given = facts(flow(), flow(subject="dataset:b", region="aws:eu-central-1"), safeguards=[safeguard()])
    case, unless = Case(given), packed.rules[0].unless
    assert unless
    for position, (_, message) in enumerate(given.flows):
        values = {"flow": message, "safeguard": given.safeguards[0][1], "now": given.now, "params": packed.params}
        assert case.judge(packed, unless, position, 0) == unless.judge(values)
