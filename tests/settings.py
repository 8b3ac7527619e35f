"""Settings for tests and static analysis: the real ones; the fixtures point them at a throw-away PostgreSQL."""

from __future__ import annotations

import base64
import os
import tempfile

os.environ.setdefault("COUNTERSIGN_OFFLINE", "1")
os.environ.setdefault("PUBLIC_URL", "http://127.0.0.1:8000")
os.environ.setdefault("ALLOWED_HOSTS", "127.0.0.1,localhost,testserver")
if "COUNTERSIGN_STATE" not in os.environ:
    # Kept alive by the module, so that the folder goes when the process does.
    _state = tempfile.TemporaryDirectory(prefix="countersign-tests-")
    os.environ["COUNTERSIGN_STATE"] = _state.name

from config.settings import *  # noqa: F403

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
ATTESTATION_KEY = base64.b64encode(os.urandom(32)).decode()
WHITENOISE_USE_FINDERS = True
PASSWORD_HASHERS = ["tests.hashers.QuickPBKDF2"]
