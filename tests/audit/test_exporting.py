"""Bundles of the log, and what an auditor's bare Python says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.exports.scope import Scope
from audit.signer import Signer
from tests.audit.exporting import EVERYTHING, export, key_of, verdict
from tests.audit.story import append


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("scope", [EVERYTHING, Scope(model="credit-scoring", disclose=("actor.name", "reason"))])
def test_a_bundle_verifies_on_a_bare_python_and_is_the_same_each_time(
    tmp_path: Path, signer: Signer, sequence: Callable[[], None], scope: Scope
) -> None:
    append(3, subject="environment:prod")
    append(300)
    sequence()
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    export(first, signer, scope)
    export(second, signer, scope)
    assert first.read_bytes() == second.read_bytes()
    told = verdict(tmp_path, first, "--key", key_of(signer))
    assert told["verdict"] == "verified", told
