"""What a data set, a model or a region reached: windows, laws, signatures and people."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import blast, gate, rollouts
from registry import versions
from registry.lineage import edges
from registry.models import ModelVersion
from tests.governance import scene
from tests.governance.scene import Bank


@pytest.fixture
def real(committed_db: object) -> Bank:
    """The bank with real commits, so that the completeness trigger sees every transaction."""
    return scene.build()


def asked(version: ModelVersion, bank: Bank) -> gate.Answer:
    return gate.check(version, bank.uae, action="promote", by=scene.actor("ci"))


def test_the_radius_tells_windows_laws_signatures_and_people(real: Bank) -> None:
    scene.approved(real, version=real.old)
    first = asked(real.old, real)
    assert first.decision is not None
    rollouts.record_deploy(first.decision.public_id, secret=first.secret, environment="prod-uae", by=scene.actor("ci"))
    scene.approved(real)
    second = asked(real.new, real)
    assert second.decision is not None
    moved = timezone.now()
    rollouts.record_deploy(
        second.decision.public_id, secret=second.secret, environment="prod-uae", by=scene.actor("ci")
    )
    found = blast.radius("dataset:loans-2026q3")
    assert [row.label for row, _path in found.versions] == ["credit-scoring/13", "credit-scoring/14"]
    assert [(each.deployment.version.number, each.live) for each in found.windows] == [(14, True), (13, False)]
    assert found.windows[0].path == (
        "dataset:loans-2026q3",
        "version:credit-scoring/14",
        found.windows[0].deployment.subject,
    )
    assert (found.perimeters, found.windows[0].countries, found.people) == (("AE-federal",), ("AE",), ("AE",))
    assert sorted(each.name for each in found.signatures) == ["Layla Haddad"] * 2 + ["Omar Nasser"] * 2
    later = blast.radius("dataset:loans-2026q3", since=moved)
    assert [each.deployment.version.number for each in later.windows] == [14, 13], "13 served until a moment after"
    assert [
        each.deployment.version.number for each in blast.radius("dataset:loans-2026q3", since=timezone.now()).windows
    ] == [14]


@pytest.mark.parametrize("root", ["dataset:loans-2026q3", "model:credit-scoring", "region:azure:uaenorth"])
def test_the_radius_takes_as_many_queries_for_many_versions_as_for_two(bank: Bank, root: str) -> None:
    with CaptureQueriesContext(connection) as before:
        blast.radius(root)
    for number in range(20, 40):
        version = versions.register_version(
            bank.model, digest=scene.digest_of(str(number)), trained_by=["yusuf"], by=scene.SET_UP
        )
        edges.record_edge(bank.loans, version, by=scene.SET_UP)
    with CaptureQueriesContext(connection) as after:
        found = blast.radius(root)
    assert len(found.versions) == 22
    assert len(after) == len(before) <= 10
