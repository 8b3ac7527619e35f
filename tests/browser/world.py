"""A small world for pages to show, made by the functions that the pages themselves call: real rows, real entries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.actors import Actor
from audit.signer import Signer
from registry import datasets, deployments, describing, environments, versions
from registry.lineage import edges
from registry.models import Dataset, Endpoint, Environment, Finding, Model, ModelVersion, Run
from registry.reconciling.run import reconcile
from tests import personas
from tests.browser import papers
from tests.explain.conftest import SCHEMA, sample
from tests.explain.servers import serving


@dataclass
class World:
    """What was made; tests take addresses and names from here."""

    model: Model
    versions: list[ModelVersion]
    dataset: Dataset
    run: Run
    environments: dict[str, Environment]
    endpoint: Endpoint
    promotions: list[int] = field(default_factory=list)
    explanations: list[int] = field(default_factory=list)
    analyses: list[int] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    backtests: list[int] = field(default_factory=list)
    exports: list[int] = field(default_factory=list)
    bundle: Path | None = None
    account: str = ""
    incidents: list[str] = field(default_factory=list)
    findings: list[int] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    evidence_keys: list[str] = field(default_factory=list)
    deployment: int = 0
    waivers: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    emergencies: list[str] = field(default_factory=list)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def registry(served_at: str = "http://127.0.0.1:5001") -> World:
    """A model with two versions, its data set and run, two environments and an endpoint at ``served_at``."""
    trainer, operator = personas.get("yusuf").actor, personas.get("sami").actor
    model = versions.register_model(
        "credit-scoring",
        title="Credit scoring",
        owner="risk-analytics",
        purpose="Scores applications for consumer loans.",
        risk="high",
        risk_reason="Creditworthiness of natural persons (EU AI Act, annex III 5(b)).",
        by=trainer,
    )
    dataset, run, made = _trained(model, trainer, operator)
    places = _places(operator)
    endpoint = environments.register_endpoint(
        "credit-scoring-uae",
        environment=places["prod-uae"],
        version=made[0],
        url=served_at,
        output={"kind": "probability", "of_class": "1"},
        by=operator,
    )
    return World(model, made, dataset, run, places, endpoint, account=str(personas.get("yusuf").uuid))


def _trained(model: Model, trainer: Actor, operator: Actor) -> tuple[Dataset, Run, list[ModelVersion]]:
    """One data set; a first version straight from it, and a second one by way of a run."""
    dataset = datasets.register_dataset(
        "loans-2026q3",
        classification="personal",
        subjects=["AE"],
        regions_held=["azure:uaenorth"],
        digest="1f2e3d4c",
        confirmed=True,
        by=operator,
    )
    run = edges.register_run(
        "run-412",
        tracking_server="https://mlflow.example",
        contributors=["yusuf"],
        name="train #412",
        metrics={"auc": "0.871"},
        by=trainer,
    )
    made = [
        versions.register_version(
            model,
            digest=_digest(f"credit-scoring {number}"),
            trained_by=["yusuf"],
            run_id="run-412" if number == 2 else "",
            metrics={"auc": f"0.8{65 + number}", "brier": "0.139"},
            schema=SCHEMA,
            by=trainer,
        )
        for number in (1, 2)
    ]
    edges.record_edge(dataset, run, by=trainer)
    edges.record_edge(run, made[1], by=trainer)
    edges.record_edge(dataset, made[0], by=trainer)
    return dataset, run, made


def _places(operator: Actor) -> dict[str, Environment]:
    return {
        slug: environments.register_environment(
            slug,
            name=name,
            tier=tier,
            regions_served=[region],
            perimeter=perimeter,
            log_sinks=[region],
            backups=[],
            support_access=[],
            explanation_workers=[],
            by=operator,
        )
        for slug, name, tier, region, perimeter in [
            ("prod-uae", "Production, UAE North", "prod", "azure:uaenorth", "AE-federal"),
            ("staging", "Staging", "staging", "azure:uaenorth", "AE-federal"),
        ]
    }


def whole() -> World:
    """The registry, what serves, the shipped policies, two promotions and two explanations, one of them finished."""
    from governance import packs, promotions

    with serving() as (address, _server):
        world = registry(address)
        _explain(world)
    for username in personas.PERSONAS:
        personas.get(username)
        reconcile(by=personas.get("sami").actor)  # nothing is deployed yet, so what runs is on no record
        world.findings = [finding.pk for finding in Finding.objects.standing()]
    _factors()
    packs.load_shipped()
    sami = personas.get("sami").actor
    place = world.environments["prod-uae"]
    deployment = deployments.record_deploy(place, world.versions[0], endpoint=world.endpoint, by=sami)
    describing.describe(deployment, {"endpoint": world.endpoint.name, "config_digest": _digest("values")}, by=sami)
    world.deployment = deployment.pk
    _waivers(world)
    _abroad(world)
    for slug in ("prod-uae", "staging"):
        promotion = promotions.request(
            world.versions[1],
            world.environments[slug],
            reason="Better calibration on the third quarter.",
            by=personas.get("yusuf").actor,
        )
        world.promotions.append(promotion.pk)
        world.decisions += [decision.public_id for decision in promotion.decisions.all()[:1]]
    _delegations(world)
    _emergencies(world)
    _incidents(world)
    _draft(world)
    _safeguards(world)
    papers.evidence(world)
    return world


def _factors() -> None:
    """An authenticator app of who audits, and one of who trains."""
    import pyotp

    from governance import factors, totp

    for name in ("noor", "yusuf"):
        secret = totp.fresh_secret()
        factors.enrol_app(personas.get(name), secret, pyotp.TOTP(secret).now(), by=personas.get(name).actor)


def _delegations(world: World) -> None:
    """Who may sign for whom, one that is over; and a signature that its signer and a policy owner can take back."""
    from governance import delegations
    from governance.models import Promotion
    from tests.governance import scene

    for to in ("dana", "omar"):
        row = scene.lend("layla", "ml_lead", to)
    delegations.end(row.reference, reason="Back at work.", by=personas.get("omar").actor)
    shown = Promotion.objects.get(pk=world.promotions[0])
    if shown.state == "in_review":
        scene.sign(shown, "jonas", "ml_lead")


def _abroad(world: World) -> None:
    """Serves in Frankfurt, where no safeguard covers it; nobody said where its backups lie."""
    from audit import log
    from audit.models.events import Event

    place = environments.register_environment(
        "dr-frankfurt",
        name="Disaster recovery, Frankfurt",
        tier="dr",
        regions_served=["azure:germanywestcentral"],
        perimeter="EU",
        log_sinks=["azure:germanywestcentral"],
        backups=[],
        support_access=["DE", "IN"],
        explanation_workers=[],
        by=personas.get("sami").actor,
    )
    with transaction.atomic():
        Environment.objects.filter(pk=place.pk).update(backups=None)
        log.append(Event.ENVIRONMENT_CHANGED, place, facts={"backups": None}, by=personas.get("sami").actor)
    place.refresh_from_db()
    deployments.record_deploy(place, world.versions[0], by=personas.get("sami").actor)


def _draft(world: World) -> None:
    """A draft that nobody has in force yet, tried on the past; and a back-test that waits for a worker."""
    from governance import backtests, packs, policies
    from tests.governance.policies.cases import without_cases

    omar = personas.get("omar").actor
    text = without_cases(policies.shipped_packs()["two-person-production"]).replace("version: 1\n", "version: 2\n")
    case = "cases:\n  - name: Going back asks for nobody\n    given:\n      promotion: {action: rollback}\n"
    text = text.replace("compliance_officer, n: 1", "compliance_officer, n: 2") + case
    packs.draft(f"{text}    expect:\n      PROD-TWO-PEOPLE: not_applicable\n", by=omar)
    world.backtests = [backtests.request("two-person-production", version, by=omar).pk for version in (2, 1)]
    backtests.perform(world.backtests[0])


def _waivers(world: World) -> None:
    """A rule of staging that the first version fails: denied, then excused by one waiver; another one waits."""
    from governance import gate, packs, waivers
    from tests.governance import scene

    version, place, sami = world.versions[0], world.environments["staging"], personas.get("sami").actor
    scene.in_force(packs.draft(scene.run_on_record(), by=personas.get("omar").actor))
    for approved in (True, False):
        decision = gate.check(version, place, by=sami).decision
        assert decision is not None
        world.excused.append(decision.public_id)
        made = waivers.propose(
            version,
            place,
            pack="lab-runs",
            rule="LAB-RUN-001",
            subjects=[version.subject],
            reason="The run was on a laptop that is gone.",
            control="It is trained again on the cluster by Friday.",
            ends_at=timezone.now() + timedelta(days=10),
            by=personas.get("yusuf").actor if not approved else personas.get("layla").actor,
        )
        world.waivers.append(made.reference)
        if approved:
            proof, dana = timezone.now(), personas.get("dana").actor
            waivers.approve(made.reference, reason="Read it.", reauthenticated_at=proof, by=dana)
            deployments.record_deploy(place, version, by=sami)


def _emergencies(world: World) -> None:
    """One runs, for what serves already; another one waits for its second person."""
    from governance import emergency

    place = world.environments["prod-uae"]
    for version, confirmed in ((world.versions[0], True), (world.versions[1], False)):
        row = emergency.declare(
            version,
            place,
            incident="INC-204",
            reason="The serving version refuses everybody over sixty.",
            hours=4,
            reauthenticated_at=timezone.now(),
            by=personas.get("layla").actor,
        )
        world.emergencies.append(row.reference)
        if confirmed:
            emergency.confirm(row.reference, reauthenticated_at=timezone.now(), by=personas.get("sami").actor)


def _safeguards(world: World) -> None:
    """One that counts, and one that waits for a second person."""
    from governance import transfers

    for reference in ("TS-active", "TS-proposed"):
        transfers.record(
            reference,
            type="SCC",
            law="AE-federal",
            document="Standard clauses with the bank in Frankfurt",
            document_digest=_digest("clauses"),
            exporter="Bank, Riyadh",
            importer="Bank, Frankfurt",
            subjects=[world.dataset.subject],
            regions=["azure:germanywestcentral"],
            expires_at=datetime(2099, 1, 1, tzinfo=UTC),
            risk_assessment_at=datetime(2026, 1, 1, tzinfo=UTC),
            assessment={letter: f"Element {letter} was looked at." for letter in "ABCDEF"},
            by=personas.get("dana").actor,
        )
    transfers.approve("TS-active", by=personas.get("omar").actor)


def _incidents(world: World) -> None:
    """One that froze the first version, whose page shows it, and an open one about the data."""
    from governance import freezing
    from registry import incidents

    for root, title in ((world.versions[0].subject, "Poisoned labels"), (world.dataset.subject, "Consent withdrawn")):
        opened = incidents.open_incident(
            title,
            root=root,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            reason="Found by the internal audit.",
            by=personas.get("omar").actor,
        )
        world.incidents.append(opened.reference)
    freezing.freeze(world.incidents[0], reason="Nothing of it may ship.", by=personas.get("omar").actor)


def _explain(world: World) -> None:
    """A finished explanation, the same run again, one that is paused and one that waits for a worker."""
    from explain import jobs, queries, work

    yusuf = personas.get("yusuf").actor
    for method in ("shap", "shap", "lime"):
        job = jobs.request(
            world.versions[0],
            world.endpoint,
            method=method,
            rows={f"applicant-{number}": row for number, row in enumerate(sample(4))},
            background=sample(30, seed=9),
            seed=7,
            by=yusuf,
        )
        world.explanations.append(job.pk)
    work.perform(world.explanations[0])
    jobs.pause(queries.find(world.explanations[1]), reason="The endpoint is needed elsewhere.", by=yusuf)
    again = jobs.rerun(queries.find(world.explanations[0]), by=yusuf)
    work.perform(again.pk)
    world.explanations.insert(1, again.pk)
    _analyse(world)


def _analyse(world: World) -> None:
    """Fairness that was measured, and a comparison that waits for a worker."""
    from explain import analyses, analysing, jobs, queries, work

    rows = {f"applicant-{number}": row for number, row in enumerate(sample(64, seed=21))}
    by = personas.get("yusuf").actor
    job = jobs.request(
        world.versions[0], world.endpoint, method="shap", rows=rows, background=sample(30, seed=9), seed=7, by=by
    )
    work.perform(job.pk)
    first = queries.find(job.pk)
    groups = {name: ("younger", "55 and older")[number % 2] for number, name in enumerate(rows)}
    fair = analyses.request("fairness", first, threshold=0.5, attribute="age group", groups=groups, by=by)
    analysing.perform(fair.pk)
    waiting = analyses.request("comparison", queries.find(world.explanations[0]), first, by=by)
    world.analyses += [fair.pk, waiting.pk]


def export(world: World, signer: Signer, folder: Path) -> None:
    """An export that is finished, one that failed because no signer answered, and one that waits for a worker."""
    from audit.exports import jobs
    from audit.exports.scope import Scope

    made = [
        jobs.request(scope, queue=False, by=personas.get("noor").actor).pk
        for scope in (
            Scope(everything=True, disclose=("actor.name", "reason")),
            Scope(model="credit-scoring"),
            Scope(environment="prod-uae"),
        )
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settings, "EXPORT_DIR", folder)
        patched.setattr(settings, "SIGNER_ADDRESS", "127.0.0.1:1")
        assert jobs.perform(made[1]) == "failed"
        patched.setattr(jobs, "signer_of", lambda _number: signer)
        assert jobs.perform(made[0]) == "finished"
    world.exports, world.bundle = made, folder / f"export-{made[0]}.zip"
