"""J15: the auditor exports a bundle and proves at home, with a bare Python and no network, what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.stack import RunningStack, eventually, token_in


def _at_home(folder: Path, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier from the bundle, isolated from every package, with nothing but openssl in reach."""
    command = [sys.executable, "-I", "-S", "verify.py", str(bundle), *arguments]
    return subprocess.run(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=120
    )


def _export(noor: httpx.Client, form: dict[str, str]) -> bytes:
    """Ask on the page, wait for the worker, download."""
    token = token_in(noor.get("/audit/exports").text)
    asked = noor.post("/audit/exports", data={**form, "csrfmiddlewaretoken": token})
    assert asked.status_code == 200, asked.text[:2000]
    page = str(asked.url)
    eventually(lambda: "Download" in noor.get(page).text, seconds=60)
    fetched = noor.get(page + ".zip")
    assert fetched.status_code == 200
    return fetched.content


def test_an_auditor_verifies_at_home_what_she_exported(stack: RunningStack, tmp_path: Path) -> None:
    noor = stack.browser("noor")
    key = tmp_path / "kept-vkey"
    key.write_text(noor.get("/log/vkey").text)
    for form in ({"everything": "on"}, {"model": "credit-scoring", "disclose": "actor.name"}):
        bundle = tmp_path / "bundle.zip"
        bundle.write_bytes(_export(noor, form))
        with subprocess.Popen(["unzip", "-p", str(bundle), "verify.py"], stdout=subprocess.PIPE) as unzip:
            assert unzip.stdout
            (tmp_path / "verify.py").write_bytes(unzip.stdout.read())
        good = _at_home(tmp_path, bundle, "--key", str(key))
        assert good.returncode == 0, good.stdout + good.stderr
        assert "VERIFIED" in good.stdout
        assert _at_home(tmp_path, bundle).returncode == 2
        data = bytearray(bundle.read_bytes())
        data[len(data) // 3] ^= 1
        bundle.write_bytes(data)
        bad = _at_home(tmp_path, bundle, "--key", str(key))
        assert (bad.returncode, "defect" in bad.stdout) == (1, True)
        token = token_in(noor.get("/verify").text)
        files = {"bundle": ("bundle.zip", bytes(data), "application/zip")}
        dropped = noor.post("/verify/bundle", data={"csrfmiddlewaretoken": token}, files=files)
        assert "The bundle is not what was signed" in dropped.text


def test_a_token_without_the_scope_takes_nothing_and_the_log_says_who_took_what(
    stack: RunningStack, tmp_path: Path
) -> None:
    noor = stack.browser("noor")
    _export(noor, {"model": "credit-scoring"})
    eventually(lambda: _requested(noor), seconds=60)
    before = len(_requested(noor))
    out = tmp_path / "client.zip"
    done = stack.cli("export", "--everything", "--out", str(out), "--timeout", "60")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "audit.export" in done.stderr
    assert not out.exists()
    assert len(_requested(noor)) == before


def _requested(browser: httpx.Client) -> list[str]:
    """What the log says of exports that were asked for, without the header of the table."""
    return browser.get("/log.csv?event=export.requested").text.strip().splitlines()[1:]
