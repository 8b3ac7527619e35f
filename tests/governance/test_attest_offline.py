"""What the real server signed, verified away from it: by the command line and by the ten lines of the documentation."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from governance import permits
from tests.cli.gate import run
from tests.governance.scene import Bank

PAGE = Path(__file__).parents[2] / "docs" / "attestations.md"
OTHER_FILES = "sha256:" + "0" * 64


@dataclass
class Taken:
    """What a pipeline took home: the gate's answer, the attestation and the keys, as files."""

    folder: Path
    answer: dict[str, Any]

    @property
    def permit(self) -> str:
        return str(self.answer["permit"]["secret"])

    def command(self, *words: str) -> int:
        """The exit code of the command, without an address of any server."""
        done = run(*words, "--key", str(self.folder / "keys.json"))
        assert "Unforeseen" not in done.stderr
        return done.returncode

    def script(self, permit: str, digest: str) -> tuple[int, str]:
        """Exit code and error of the documentation's script, run as it stands there."""
        (text,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert len([line for line in text.splitlines() if line]) <= 10
        assert set(re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE)) == {
            "base64,",
            "cryptography.hazmat.primitives.asymmetric.ed25519",
        }
        script = self.folder / "permit.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, str(script), permit, str(self.folder / "keys.json"), digest],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr


def taken(folder: Path, ci: Client, bank: Bank, place: str = "staging") -> Taken:
    question = {"model": {"name": "credit-scoring", "version": "14"}, "environment": place}
    answer = ci.post("/api/v1/gate/checks", question, content_type="application/json").json()
    address = answer["attestation_url"].removeprefix("http://127.0.0.1:8000")
    (folder / "attestation.json").write_bytes(ci.get(address).content)
    (folder / "keys.json").write_bytes(Client().get("/.well-known/countersign-keys.json").content)
    (folder / "answer.json").write_text(json.dumps(answer))
    return Taken(folder, answer)


@pytest.fixture
def api(api_for: Callable[[str], Client]) -> Client:
    return api_for("ci")


@pytest.mark.parametrize(("place", "code"), [("staging", 0), ("dr-frankfurt", 1), ("prod-uae", 1)])
def test_the_command_line_verifies_the_servers_attestation(
    bank: Bank, api: Client, tmp_path: Path, place: str, code: int
) -> None:
    home = taken(tmp_path, api, bank, place)
    words = ("verify", str(tmp_path / "attestation.json"), "--decision", home.answer["decision_id"])
    assert home.command(*words, "--digest", bank.new.digest, "--environment", place) == code
    assert home.command(*words, "--digest", OTHER_FILES) == 6
    other = tmp_path / "other"
    other.mkdir()
    taken(other, api, bank, place)
    assert home.command("verify", str(other / "attestation.json"), *words[2:]) == 6, "another decision's envelope"


def test_a_permit_verifies_offline_by_the_command_line_and_by_ten_lines(
    bank: Bank, api: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = taken(tmp_path, api, bank)
    words = ("permit", "verify", "--answer", str(tmp_path / "answer.json"))
    assert home.command(*words, "--digest", bank.new.digest, "--environment", "staging") == 0
    assert home.command(*words, "--digest", OTHER_FILES) == 6
    assert home.script(home.permit, bank.new.digest) == (0, "")
    assert home.script(home.permit, OTHER_FILES) == (1, "for other files\n")
    body, _dot, signature = home.permit.rpartition(".")
    assert home.script(f"{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}", bank.new.digest)[0] == 1
    altered = permits.PREFIX + _longer(home.permit)
    code, said = home.script(altered, bank.new.digest)
    assert (code, "InvalidSignature" in said) == (1, True)
    monkeypatch.setattr(permits, "LIFETIME", timedelta())
    late = taken(tmp_path, api, bank)
    assert late.script(late.permit, bank.new.digest) == (1, "expired\n")
    assert late.command("permit", "verify", "--permit", late.permit) == 1


def _longer(permit: str) -> str:
    """The same permit for ever, with its old signature."""
    body, signature = permit.removeprefix(permits.PREFIX).split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    told["expires_at"] = "2099-01-01T00:00:00Z"
    changed = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    return f"{base64.urlsafe_b64encode(changed).decode().rstrip('=')}.{signature}"
