"""``docs/cli.md`` names every flag and every exit code that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.gate import CLI, run

PAGE = (CLI.parent / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = [
    "check",
    "wait",
    "explain",
    "deploy record",
    "rollback record",
    "export",
    "lineage closure",
    "lineage paths",
    "reached",
    "decision get",
    "decision replay",
    "policy lint",
    "policy test",
    "policy draft",
    "policy backtest",
    "transfers list",
    "transfers get",
    "transfers record",
    "transfers approve",
    "transfers revoke",
    *(
        f"explanations {word}"
        for word in ("list", "estimate", "request", "status", "result", "receipt", "rerun", "compare")
    ),
    *(f"explanations {word}" for word in ("cancel", "pause", "resume", "verify")),
    *(f"analyses {word}" for word in ("list", "request", "show")),
    "signoffs list",
    "delegations list",
    "emergency list",
    "emergency get",
    "waivers list",
    "waivers get",
    "waivers propose",
    "waivers revoke",
    "halts list",
    "halts take",
    "halts done",
    "residency",
    "attest",
    "verify",
    "permit verify",
    "digest",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_documented(command: str) -> None:
    shown = run(*command.split(), "--help")
    assert shown.returncode == 0
    flags = set(re.findall(r"--[a-z-]+", shown.stdout)) - {"--help"}
    assert {flag for flag in flags if flag not in PAGE} == set()
    assert f"`{command}" in PAGE


def test_every_exit_code_is_documented() -> None:
    source = (CLI / "countersign" / "exits.py").read_text(encoding="utf-8")
    codes = re.findall(r"^    [A-Z]+ = (\d)$", source, re.MULTILINE)
    assert re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE) == codes


def test_the_distribution_needs_nothing() -> None:
    assert "dependencies = []" in Path(CLI / "pyproject.toml").read_text(encoding="utf-8")
