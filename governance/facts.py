"""Collect what is known about a case, once, in a fixed number of queries; nothing is decided here.

What cannot be found stays unknown, and the decision engine reads unknown in the strictest way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection

from audit.refusals import BadInput
from governance import access, emergency_facts, evidence_facts, policies, sharing, signed_events
from governance.models.evidence import EvidenceState
from governance.models.promotion import Promotion
from governance.models.roles import Action
from governance.models.signoff import SignOff
from governance.models.transfer import SafeguardStatus, TransferSafeguard
from governance.models.user import User
from governance.models.waiver import Waiver, WaiverState
from governance.packs import active_packs
from governance.policies.facts import digest_of
from registry import incidents, regions
from registry import queries as registry_queries
from registry.incidents import Hold
from registry.models import Dataset, Environment, ModelVersion

# Every gate check asks these, so they are bare statements: building them anew took longer than answering them.
# Most versions are held by none of these, and each round trip costs more than asking whether it is worth one.
_STANDS = """
    SELECT EXISTS (SELECT 1 FROM registry_incident WHERE state IN ('frozen', 'lifted')),
        EXISTS (SELECT 1 FROM governance_emergency WHERE state = 'confirmed'),
        EXISTS (SELECT 1 FROM governance_waiver WHERE version_id = %s AND environment_id = %s AND state <> 'revoked'),
        EXISTS (SELECT 1 FROM explain_explanationjob WHERE version_id = %s AND state = 'finished')
"""
_STANDS_AT_ALL = """
    SELECT EXISTS (SELECT 1 FROM registry_incident WHERE state IN ('frozen', 'lifted')),
        EXISTS (SELECT 1 FROM explain_explanationjob WHERE state = 'finished')
"""
_DATA_SETS = """
    SELECT id, name, classification, regions, subjects, perimeter FROM registry_dataset WHERE name = ANY(%s)
"""
_SAFEGUARDS = """
    SELECT id, reference, type, law, status, subjects, regions, expires_at, risk_assessment_at
    FROM governance_transfersafeguard WHERE subjects ?| %s
"""
_WAIVERS = """
    SELECT id, reference, pack, pack_version, rule, subjects, state, approved_by, starts_at, ends_at
    FROM governance_waiver WHERE version_id = %s AND environment_id = %s AND state <> 'revoked' ORDER BY id
"""
_SIGNOFFS = """
    SELECT s.id, s.meaning, s.signer, s.role, s.subject_digest, s.signed_at, s.reauth_at, s.factors, s.delegation_id,
        r.kind AS undone, r.retracted_by, r.as_owner, r.retracted_at,
        d.reference AS lent, d.role AS lent_role, d.delegator, d.delegate, d.made_at, d.starts_at, d.ends_at,
        d.ended_at, d.ended_by
    FROM governance_signoff s
    LEFT JOIN governance_retraction r ON r.signoff_id = s.id
    LEFT JOIN governance_delegation d ON d.id = s.delegation_id
    WHERE s.promotion_id = %s AND s.round = %s ORDER BY s.id
"""
_USERS = """
    SELECT id, uuid, username, display_name, kind, roles, is_active
    FROM governance_user WHERE uuid = ANY(%s::uuid[]) OR username = ANY(%s)
"""


@dataclass(frozen=True)
class Case:
    """What is asked: may this version do ``action`` there? ``requested_by`` is the actor id of who wants it."""

    version: ModelVersion
    environment: Environment
    action: str
    plan: Mapping[str, Any]
    requested_by: str
    promotion: Promotion | None = None


@dataclass(frozen=True)
class Collected:
    """The frozen input of a decision. ``subject_parts`` is what a sign-off binds to, part by part."""

    case: Case
    facts: policies.Facts
    packs: tuple[policies.CompiledPack, ...]
    events: tuple[policies.SignOffEvent, ...]
    people: policies.People
    subject_parts: Mapping[str, Any]

    @cached_property
    def subject_digest(self) -> str:
        """``sha256:`` of the canonical form of all parts."""
        return digest_of(self.subject_parts)


def collect(case: Case, *, now: datetime, also: Sequence[str] = ()) -> Collected:
    """Everything a decision needs. ``also`` are actor ids whose roles the caller will ask about.

    Raises ``policies.MissingFact`` when a required fact is missing, ``policies.PackError`` when an active pack no
    longer compiles.
    """
    packs = sharing.once("packs", lambda: active_packs(now))
    parents = _parents(case.version)
    data_sets = _data_sets(parents)
    flows = policies.flows_of(
        version=case.version.subject,
        parents=parents,
        data_sets=data_sets,
        places=_places(case.environment),
    )
    stands = _what_stands(case)
    holds = _holds(case, parents, data_sets) if stands.incidents else ()
    safeguards = _safeguards({flow.subject for flow in flows})
    proposed = _waivers(case) if stands.waivers else []
    lanes = emergency_facts.confirmed() if stands.emergencies else ()
    emergencies = emergency_facts.running(lanes, case.version, case.environment, now)
    signoffs = counting_signoffs(case.promotion) if case.promotion else []
    approvers = [row.approved_by for row in proposed if row.approved_by]
    lane_people = [who for each in emergencies for who in (each.invoked_by, each.confirmed_by)]
    people = people_of(case, signoffs, [*also, *approvers, *lane_people])
    waivers = [_waiver(case, row, people) for row in proposed]
    facts = policies.freeze(
        now=now,
        model=policies.ModelFact(case.version.model.name, case.version.model.risk),
        version=policies.VersionFact(
            subject=case.version.subject,
            number=str(case.version.number),
            digest=case.version.digest,
            trained_by=sorted(people.contributors),
            run_id=case.version.run_id,
        ),
        environment=policies.EnvironmentFact(case.environment.slug, case.environment.tier, case.environment.perimeter),
        promotion=policies.PromotionFact(
            case.action, case.requested_by, str(case.plan.get("strategy", "")), int(case.plan.get("weight") or 0)
        ),
        flows=flows,
        safeguards=safeguards,
        evidence=evidence_facts.of(case.version, case.environment),
        explanations=evidence_facts.explained(case.version) if stands.explanations else (),
        incidents=[_frozen(hold) for hold in holds if hold.counts],
        waivers=waivers,
        emergencies=emergencies,
        reviews=emergency_facts.reviews(lanes, case.version.model),
    )
    return Collected(
        case=case,
        facts=facts,
        packs=packs,
        events=signed_events.events_of(signoffs),
        people=people,
        subject_parts=_subject_parts(case, facts, packs, holds, waivers),
    )


class _Stands(NamedTuple):
    """Whether there is any incident or emergency at all, any waiver of the case and any explanation of its version."""

    incidents: bool
    emergencies: bool
    waivers: bool
    explanations: bool


def _what_stands(case: Case) -> _Stands:
    """True for what has to be read. Shared cases have read their waivers and emergencies already."""
    if sharing.current():
        return sharing.once("what stands", _what_stands_at_all)
    with connection.cursor() as cursor:
        cursor.execute(_STANDS, [case.version.pk, case.environment.pk, case.version.pk])
        return _Stands(*(cursor.fetchone() or (True, True, True, True)))


def _what_stands_at_all() -> _Stands:
    with connection.cursor() as cursor:
        cursor.execute(_STANDS_AT_ALL)
        any_incident, any_explanation = cursor.fetchone() or (True, True)
    return _Stands(any_incident, emergencies=True, waivers=True, explanations=any_explanation)


def _parents(version: ModelVersion) -> dict[str, list[str]]:
    """Subject -> what it was made from, for everything upstream of the version."""
    if shared := sharing.current():
        return shared.parents_of(version.subject)
    try:
        edges = registry_queries.edges_from(version.subject, "upstream")
    except BadInput as refusal:
        raise policies.MissingFact("lineage", version.subject, refusal.sentence) from refusal
    parents: dict[str, list[str]] = {}
    for edge in edges:
        parents.setdefault(edge.target, []).append(edge.source)
    return parents


def _holds(
    case: Case, parents: Mapping[str, Sequence[str]], data_sets: Mapping[str, policies.DataSetFact]
) -> tuple[Hold, ...]:
    """The incidents that reach the version by what it learned from, by where it would serve, or were frozen over it."""
    shared = sharing.current()
    rows = shared.incidents(case.version.subject) if shared else list(incidents.counting(case.version.subject))
    trails = policies.ancestors(case.version.subject, parents)
    lie_in = {subject: [region.id for region in each.regions] for subject, each in data_sets.items()}
    return incidents.holds_on(rows, trails, lie_in, case.version.subject, case.environment)


def _frozen(hold: Hold) -> policies.IncidentFact:
    row = hold.incident
    if row.frozen_at is None:
        raise policies.MissingFact("incident.frozen_at", row.reference, f"{row.reference} does not say when it froze.")
    return policies.IncidentFact(row.reference, row.title, row.root, row.since, row.frozen_at, row.frozen_by, hold.path)


def _data_sets(parents: Mapping[str, Sequence[str]]) -> dict[str, policies.DataSetFact]:
    names = {
        subject.removeprefix("dataset:")
        for sources in parents.values()
        for subject in sources
        if subject.startswith("dataset:")
    }
    return {
        row.subject: policies.DataSetFact(
            subject=row.subject,
            classification=row.classification,
            regions=[_region(each) for each in row.regions],
            data_subjects=row.subjects,
            perimeter=row.perimeter,
        )
        for row in _named(names)
    }


def _named(names: set[str]) -> Iterable[Dataset]:
    if shared := sharing.current():
        found = (shared.data_sets.get(f"dataset:{name}") for name in sorted(names))
        return [row for row in found if row is not None]
    return Dataset.objects.raw(_DATA_SETS, [sorted(names)])


def _places(environment: Environment) -> Iterable[policies.PlaceFact]:
    """Where nobody said, the place is unknown: that is nowhere for every rule. An empty list is no place at all."""
    for kind, ids in environment.places.items():
        for each in [""] if ids is None else ids:
            yield policies.PlaceFact(kind, environment.subject, _region(each), environment.perimeter)


def _region(region_id: str) -> policies.Region:
    """A region that the table does not know, or that is not generally available, satisfies no rule."""
    try:
        known = regions.place(region_id)
    except BadInput:
        return policies.Region(region_id)
    return policies.Region(region_id, known.country, known.satisfies)


def _target(environment: Environment) -> dict[str, list[str]]:
    """Where it serves and logs, and what lies or looks elsewhere when anything does: what was signed before somebody
    said that there is none was signed for the same.
    """
    found = {"regions": sorted(environment.regions), "log_sinks": sorted(environment.log_sinks)}
    for name in ("backups", "support_access", "explanation_workers"):
        if said := getattr(environment, name):
            found[name] = sorted(said)
    return found


def _safeguards(subjects: set[str]) -> list[policies.SafeguardFact]:
    shared = sharing.current()
    rows: Iterable[TransferSafeguard] = (
        shared.covering(subjects) if shared else TransferSafeguard.objects.raw(_SAFEGUARDS, [sorted(subjects)])
    )
    return [
        policies.SafeguardFact(
            id=row.reference,
            type=row.type,
            status=row.status,
            subjects=row.subjects,
            regions=row.regions,
            expires_at=row.expires_at,
            risk_assessment_at=row.risk_assessment_at,
            law=row.law,
        )
        for row in rows
    ]


def _waivers(case: Case) -> list[Waiver]:
    """What was proposed or approved for this version there, over or not: the engine says which of them excuse."""
    of = (case.version.pk, case.environment.pk)
    shared = sharing.current()
    return shared.waivers_of(*of) if shared else list(Waiver.objects.raw(_WAIVERS, of))


def _waiver(case: Case, row: Waiver, people: policies.People) -> policies.WaiverFact:
    """An approval counts while its person could still give it: like a signature, it ends with the account or role."""
    approved = row.state == WaiverState.ACTIVE
    still = approved and access.held_by_roles(people.roles.get(row.approved_by, ()), Action.WAIVER_APPROVE)
    return policies.WaiverFact(
        id=row.reference,
        pack=row.pack,
        pack_version=row.pack_version,
        rule=row.rule,
        subjects=row.subjects,
        environment=case.environment.slug,
        version=case.version.subject,
        approved_by=row.approved_by if still else "",
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )


def counting_signoffs(promotion: Promotion) -> list[SignOff]:
    """Those of the promotion's round. An earlier round is void even when its subject comes back: what was seen to
    change in between has to be looked at again.
    """
    return list(SignOff.objects.raw(_SIGNOFFS, [promotion.pk, promotion.round]))


def people_of(case: Case, signoffs: Sequence[SignOff], also: Sequence[str]) -> policies.People:
    """Who signed, asked or trained, by actor id. A contributor without an account keeps their recorded name."""
    ids = {case.requested_by, *also, *signed_events.persons_of(signoffs)}
    uuids = [actor.partition(":")[2] for actor in ids if actor.startswith(("user:", "service:"))]
    trained_by = {name.lower() for name in case.version.contributors}
    shared = sharing.current()
    users = shared.people(uuids, trained_by) if shared else list(User.objects.raw(_USERS, [uuids, sorted(trained_by)]))
    actors = {user.username: user.actor.id for user in users}
    return policies.People(
        roles={user.actor.id: frozenset(user.roles) for user in users if user.is_active and not user.is_service},
        requester=case.requested_by,
        contributors=frozenset(actors.get(name) or _unmatched(name) for name in trained_by),
        policy_owners=signed_events.owners_of(signoffs, users),
    )


def _unmatched(name: str) -> str:
    """A contributor without an account; one who was erased stands there by their actor id already."""
    return name if name.startswith("user:") else f"unmatched:{name}"


def _subject_parts(
    case: Case,
    facts: policies.Facts,
    packs: Sequence[policies.CompiledPack],
    holds: Sequence[Hold],
    waivers: Sequence[policies.WaiverFact],
) -> dict[str, Any]:
    """What a sign-off is about (gates.md 2.2). The clock, the requester and the action are no part of it.

    What a machine measured is none either: it adds itself while people sign, and a rule that asks for it reads it anew.
    An incident is part of it from its freeze on, lifted or not: whoever signed before has to look again. A waiver is
    part of it from its approval to its end.
    """
    versions = {pack.id: pack.version for pack in packs}
    excused = [
        each.values()
        for each in waivers
        if each.approved_by and each.ends_at > facts.now and versions.get(each.pack) == each.pack_version
    ]
    document = facts.document
    told = ("subject", "region", "claimed_region", "classification", "data_subjects", "path", "perimeter")
    data = [{key: flow[key] for key in told} for flow in document["flows"] if flow["kind"] == "dataset"]
    evidence = [
        each
        for each in document.get("evidence", ())
        if each["status"] == EvidenceState.ACTIVE and each["issued_by"] != evidence_facts.MACHINE
    ]
    return {
        "artifact": {"version": case.version.subject, "digest": case.version.digest},
        "risk": document["model"]["risk"],
        "environment": document["environment"],
        "target": _target(case.environment),
        "rollout": dict(case.plan),
        "policy": [{"pack": pack.id, "version": pack.version, "digest": pack.digest} for pack in packs],
        "data": data,
        "safeguards": [each for each in document["safeguards"] if each["status"] == SafeguardStatus.ACTIVE],
        "jurisdictions": sorted(
            {case.environment.perimeter, *(who for flow in document["flows"] for who in flow["data_subjects"])}
        ),
        **({"evidence": evidence} if evidence else {}),
        **({"incidents": [[hold.incident.reference, hold.incident.state] for hold in holds]} if holds else {}),
        **({"waivers": excused} if excused else {}),
    }
