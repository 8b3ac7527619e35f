"""The decision engine: rules over frozen facts. Pure: no Django, no clock, no I/O but reading the shipped packs.

1. Compile, at upload and again when a pack is used (cached by digest)::

       pack = compile_pack(text)              # PackError: every problem with rule, line and column
       pack.id, pack.version, pack.digest, pack.status, pack.effective_from, pack.rules, pack.signoffs
       lint_pack(text)                        # the same, and no allow by absence, nothing unverified, own cases hold
       try_cases(pack)                        # what comes out of the cases that the pack carries
       shipped_packs() -> {"ksa-pdpl": text, ...}

2. Freeze the facts. ``now`` is a fact, so a decision can be made again from what was stored::

       flows = flows_of(version="version:credit-scoring/14", parents={target: [source, ...]},
                        data_sets={"dataset:loans": DataSetFact(...)}, places=[PlaceFact("serving", ...), ...])
       facts = freeze(now=..., model=ModelFact(...), version=VersionFact(...), environment=EnvironmentFact(...),
                      promotion=PromotionFact(...), flows=flows, safeguards=[SafeguardFact(...)],
                      evidence=[EvidenceFact(...)], explanations=[ExplanationFact(...)],
                      waivers=[WaiverFact(...)])                                                    # MissingFact
       facts.document (JSON without floats), facts.digest; thaw(document) gives the same Facts back

3. Decide: ``evaluate([pack, ...], facts) -> Decision`` (word, findings, policy, engine, facts_digest, valid_until,
   summary; ``as_json()``). Packs are a conjunction. Allowed only when a blocking rule passed and none failed.

4. Sign-offs: ``signoff_state([pack, ...], facts, events, people, subject_digest) -> SignOffState`` (state, missing,
   filled, ignored, valid_until; ``as_json()``), ``objections(..., by=actor_id, role=...)``: why this person may not
   sign, as data, and ``roles_for(...)``: the roles they could sign in.
   ``conclude(decision, state) -> Decision`` turns an allow without its signatures into ``pending`` (or ``deny``).

5. Both together, from what can be stored: ``decide([pack, ...], facts, Inputs(...)) -> Decided``. ``read_inputs`` and
   ``thaw`` bring back what was stored, so the same call replays a decision; ``result_digest`` is what must be equal.

6. How to pass: ``ways_to_pass([pack, ...], facts, Inputs(...), Known(...)) -> Ways``, the smallest sets of actions that
   flip a decision, each tried on the facts. On demand only: it decides hundreds of times.
"""

from governance.policies.breaking import Terms, stacked, terms_of
from governance.policies.candidates import Known
from governance.policies.cases import Tried, try_cases
from governance.policies.compile import CompiledPack, compile_pack
from governance.policies.evaluate import conclude, evaluate
from governance.policies.facts import (
    EnvironmentFact,
    Facts,
    FlowFact,
    MissingFact,
    ModelFact,
    PromotionFact,
    VersionFact,
    freeze,
    thaw,
)
from governance.policies.flows import DataSetFact, PlaceFact, Region, ancestors, flows_of
from governance.policies.lint import lint_pack, may_be_activated
from governance.policies.packs import shipped_packs
from governance.policies.papers import (
    EmergencyFact,
    EvidenceFact,
    ExplanationFact,
    IncidentFact,
    ReviewFact,
    SafeguardFact,
    WaiverFact,
)
from governance.policies.quorum import (
    Objection,
    SignOffState,
    factors_for,
    lent_to,
    may_veto,
    objections,
    roles_for,
    signoff_state,
)
from governance.policies.results import Decision, Finding, NearMiss, PackRef
from governance.policies.signatures import People, SignOffEvent
from governance.policies.stored import Decided, Inputs, decide, read_inputs, result_digest
from governance.policies.ways import Ways, ways_to_pass
from governance.policies.written import PackError, Problem

__all__ = [
    "CompiledPack",
    "DataSetFact",
    "Decided",
    "Decision",
    "EmergencyFact",
    "EnvironmentFact",
    "EvidenceFact",
    "ExplanationFact",
    "Facts",
    "Finding",
    "FlowFact",
    "IncidentFact",
    "Inputs",
    "Known",
    "MissingFact",
    "ModelFact",
    "NearMiss",
    "Objection",
    "PackError",
    "PackRef",
    "People",
    "PlaceFact",
    "Problem",
    "PromotionFact",
    "Region",
    "ReviewFact",
    "SafeguardFact",
    "SignOffEvent",
    "SignOffState",
    "Terms",
    "Tried",
    "VersionFact",
    "WaiverFact",
    "Ways",
    "ancestors",
    "compile_pack",
    "conclude",
    "decide",
    "evaluate",
    "factors_for",
    "flows_of",
    "freeze",
    "lent_to",
    "lint_pack",
    "may_be_activated",
    "may_veto",
    "objections",
    "read_inputs",
    "result_digest",
    "roles_for",
    "shipped_packs",
    "signoff_state",
    "stacked",
    "terms_of",
    "thaw",
    "try_cases",
    "ways_to_pass",
]
