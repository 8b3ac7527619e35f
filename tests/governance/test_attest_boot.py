"""The web server as it is really loaded: without a key it does not start, and a strange one is not announced."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from governance.models import AttestationKey
from tests.conftest import CommittedDatabase

ROOT = Path(__file__).parents[2]


@pytest.fixture
def boot(committed_db: CommittedDatabase, tmp_path: Path) -> dict[str, str]:
    """What the stack would give the process, but for the key."""
    return {
        "PATH": os.environ["PATH"],
        "COUNTERSIGN_STATE": str(tmp_path),
        "DATABASE_URL": committed_db.url(),
        "SUBJECT_KEYS_DATABASE_URL": str(settings.SUBJECT_KEYS_DATABASE_URL),
        "SECRET_KEY": "tests-only-" * 6,
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "http://127.0.0.1",
    }


def loaded(environment: dict[str, str], **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "import config.wsgi"],
        cwd=ROOT,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def test_it_starts_with_a_key_alone_and_another_one_is_not_announced_by_starting(boot: dict[str, str]) -> None:
    code, said = loaded(boot)
    assert code != 0
    assert "There is no readable key to sign attestations and permits with" in said.splitlines()[-1]
    assert not AttestationKey.objects.exists()
    key, other = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    code, said = loaded(boot, ATTESTATION_KEY=key)
    assert code == 0, said
    assert [row.in_use for row in AttestationKey.objects.all()] == [True]
    assert loaded(boot, ATTESTATION_KEY=key)[0] == 0, "it is announced once"
    code, said = loaded(boot, ATTESTATION_KEY=other)
    assert (code, "is not the one that is announced" in said) == (0, True), "whoever rotates needs a server that runs"
    assert AttestationKey.objects.count() == 1
