"""What needs a library, and an incident about one: what is known to need it, and what nobody can say."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.refusals import BadInput
from governance import blast, freezing, gate
from governance.pages.incidents import conclusion
from registry import dependencies, incidents, versions
from registry.lineage import edges, roots
from registry.models import ModelVersion
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_incidents import SINCE, cited

FILE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def needing(bank: Bank, *lines: str, number: int) -> ModelVersion:
    version = versions.register_version(
        bank.model,
        digest=scene.digest_of(str(number)),
        trained_by=["yusuf"],
        number=number,
        dependencies=lines,
        by=scene.SET_UP,
    )
    edges.record_edge(bank.loans, version, by=scene.SET_UP)
    return version


def frozen(root: str) -> None:
    opened = incidents.open_incident("Backdoor", root=root, since=SINCE, reason="CVE", by=scene.actor("omar"))
    freezing.freeze(opened.reference, reason="Stop.", by=scene.actor("omar"))


def held(version: ModelVersion, bank: Bank) -> list[list[str]]:
    answer = gate.check(version, bank.uae, action="promote", by=scene.actor("ci"))
    return [list(finding["path"]) for finding in cited(answer)]


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ("library:xz", [20, 21, 22]),
        ("library:XZ", [20, 21, 22]),
        ("library:xz==5.6.0", [20, 22]),
        ("library:xz==5.4.1", [21, 22]),
        ("library:numpy==2.4.1", [20]),
        (f"library:{FILE}", [20]),
        ("library:torch", []),
    ],
)
def test_a_library_reaches_what_names_it_and_what_is_not_pinned(bank: Bank, asked: str, reached: list[int]) -> None:
    needing(bank, f"xz==5.6.0 --hash={FILE}", f"numpy==2.4.1 --hash={OTHER}", number=20)
    needing(bank, "xz==5.4.1", number=21)
    needing(bank, "xz>=5", number=22)
    needing(bank, number=23)
    found = blast.radius(asked)
    assert [row.number for row, _path in found.versions] == reached
    assert all(path[:2] == (asked, row.subject) for row, path in found.versions)
    silent = {"version:credit-scoring/13", "version:credit-scoring/14"}
    if asked.startswith("library:sha256"):
        silent |= {"version:credit-scoring/21", "version:credit-scoring/22"}
    assert set(found.unsaid) == silent
    assert f"{len(silent)} more versions may be concerned" in conclusion(found)


def test_a_frozen_library_holds_what_needs_it_and_what_may_need_it_and_nothing_else(bank: Bank) -> None:
    bad = needing(bank, "xz==5.6.0", number=20)
    good = needing(bank, "xz==5.4.1", number=21)
    frozen("library:xz==5.6.0")
    assert held(bad, bank) == [["version:credit-scoring/20", "library:xz==5.6.0"]]
    assert held(bank.new, bank) == [["version:credit-scoring/14", "library:xz==5.6.0"]], "nobody said what it needs"
    assert held(good, bank) == []
    row = incidents.counting("").get()
    assert row.held == ["version:credit-scoring/13", "version:credit-scoring/14", "version:credit-scoring/20"]


def test_a_version_that_needs_it_tomorrow_and_one_tuned_from_it_are_held_too(bank: Bank) -> None:
    frozen("library:xz==5.6.0")
    base = needing(bank, "xz==5.6.0", number=20)
    tuned = needing(bank, "numpy==2.4.1", number=21)
    edges.record_edge(base, tuned, by=scene.SET_UP)
    assert held(base, bank) == [["version:credit-scoring/20", "library:xz==5.6.0"]]
    assert held(tuned, bank) == [["version:credit-scoring/21", "version:credit-scoring/20", "library:xz==5.6.0"]]


@pytest.mark.parametrize("name", ["sha256:00", "xz=5", "xz==", "-xz", "xz==5.6.0 ", "sha256:" + "AB" * 32, "a b", ""])
def test_what_is_no_library_is_refused_with_the_ways_to_write_one(bank: Bank, name: str) -> None:
    with pytest.raises(BadInput):
        roots.of(f"library:{name}")
    if name:
        with pytest.raises(BadInput, match=r"library:numpy==2\.4\.1"):
            dependencies.library(name)


def test_as_many_queries_for_many_versions_as_for_two(bank: Bank) -> None:
    needing(bank, "xz==5.6.0", number=20)
    with CaptureQueriesContext(connection) as before:
        blast.radius("library:xz")
    for number in range(30, 50):
        needing(bank, "xz==5.6.0", number=number)
    with CaptureQueriesContext(connection) as after:
        found = blast.radius("library:xz")
    assert len(found.versions) == 21
    assert len(after) == len(before) <= 10
