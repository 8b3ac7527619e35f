"""The stack itself: what it leaves on disk, how it says no, how it stops, and what a kill cannot break."""

from __future__ import annotations

import html
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest

from config.stack.state import free_port
from tests.stack import RunningStack, eventually, refused


def test_the_state_folder_and_its_secrets_are_private(stack: RunningStack) -> None:
    assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
    for name in (
        "environment.json",
        "supervisord.conf",
        "secrets/generated.json",
        "secrets/signer",
        "secrets/attestation",
    ):
        assert stat.S_IMODE((stack.state / name).stat().st_mode) == 0o600, name


def test_no_secret_is_in_the_process_list(stack: RunningStack) -> None:
    import json

    secrets = json.loads((stack.state / "secrets" / "generated.json").read_text())
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [name for name, value in secrets.items() if len(value) > 12 and value in listed]


def test_a_second_start_from_the_same_folder_is_a_sentence(stack: RunningStack) -> None:
    assert any("already runs" in line for line in refused(stack.state, free_port()))


def test_a_busy_port_is_a_sentence(stack: RunningStack) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert any(f"Port {stack.port} is used" in line for line in refused(Path(folder), stack.port))


@pytest.mark.parametrize("program", ["sequencer", "signer", "web"])
def test_a_killed_process_comes_back_and_the_log_goes_on(stack: RunningStack, program: str) -> None:
    before, signed = stack.pid_of(program), signed_entries(stack)
    children = psutil.Process(before).children(recursive=True)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.pid_of(program) not in (0, before), seconds=30)
    eventually(lambda: not any(child.is_running() for child in children), seconds=15)
    stack.wait_ready()
    stack.browser("noor")  # signing in is an entry
    eventually(lambda: signed_entries(stack) > signed, seconds=30)
    verified = stack.manage("audit_verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def signed_entries(stack: RunningStack) -> int:
    """How many entries are under a signed checkpoint."""
    return int(httpx.get(f"{stack.url}/log/checkpoint", timeout=10).text.splitlines()[1])


def test_the_checkpoint_verifies_with_openssl_alone(stack: RunningStack, tmp_path: Path) -> None:
    commands = """
        curl -fsS "$URL/log/checkpoint" > checkpoint && curl -fsS "$URL/log/vkey" > vkey
        head -n 3 checkpoint > body
        sed -n 5p checkpoint | cut -d ' ' -f 3 | base64 -d | tail -c 64 > signature
        printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000' > key.der
        head -n 1 vkey | cut -d + -f 3- | base64 -d | tail -c 32 >> key.der
        openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in body -sigfile signature
    """
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env={**os.environ, "URL": stack.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified Successfully" in done.stdout
    (tmp_path / "body").write_text((tmp_path / "body").read_text() + "1\n")
    again = ["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-rawin", "-in", "body"]
    tampered = subprocess.run(["openssl", *again, "-sigfile", "signature"], cwd=tmp_path, check=False)
    assert tampered.returncode != 0


def test_an_inclusion_proof_from_the_page_verifies_with_pymerkle(stack: RunningStack) -> None:
    page = stack.browser("noor").get("/log/5").text
    script = html.unescape(re.search(r"python3 - &lt;&lt;&#x27;EOF&#x27;\n(.*?)\nEOF", page, re.DOTALL)[1])  # type: ignore[index]
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert '"event"' in shown.stdout
    forged = script.replace('b"\\x00" + entry', 'b"\\x00" + entry + b" "')
    assert forged != script
    assert subprocess.run([sys.executable, "-c", forged], capture_output=True, check=False).returncode != 0
