"""What answers web requests imports no explainer and opens no pickle: seconds of start and arbitrary code otherwise."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.conftest import CommittedDatabase
from tests.explain.conftest import Perform, ask, register_endpoint
from tests.explain.servers import serving

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("shap", "lime", "numba", "sklearn", "xgboost", "lightgbm", "fairlearn", "mlflow", "pyarrow.parquet")
#: Who may, and whose bytes they open.
OPENERS = {
    "explain/isolated/loading.py": "an artifact, in the confined process, where the operator allows it",
    "audit/verification/pool.py": "what its own child processes answer, over a pipe that it made",
    "audit/verification/worker.py": "what its own parent asks, over the same pipe",
}
_ASK = """
import sys
import django
django.setup()
from django.test import Client
from django.urls import get_resolver
from tests.serving_in_process import use
use({url!r}, {keys!r})
import config.wsgi
from governance.models import User
client = Client()
client.force_login(User.objects.get(username="layla"))
for path in {paths!r}:
    answer = client.get(path, headers={{"host": "127.0.0.1"}})
    assert answer.status_code == 200, (path, answer.status_code)
def every(patterns):
    for each in patterns:
        yield from every(each.url_patterns) if hasattr(each, "url_patterns") else [each.callback]
assert sum(1 for _ in every(get_resolver().url_patterns)) > 100
print(sorted(name for name in {heavy!r} if name in sys.modules))
"""


def test_pages_and_api_of_explanations_load_no_explainer(committed_db: CommittedDatabase, perform: Perform) -> None:
    from django.conf import settings

    from tests import personas

    personas.get("layla")
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    paths = ["/", "/explanations", "/explanations/new", f"/explanations/{job.pk}", f"/api/v1/explanations/{job.pk}"]
    paths += ["/api/v1/explanations", "/analyses", "/analyses/new"]
    code = _ASK.format(url=committed_db.url(), keys=str(settings.SUBJECT_KEYS_DATABASE_URL), paths=paths, heavy=HEAVY)
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin", "COUNTERSIGN_OFFLINE": "1"},
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.strip().splitlines()[-1] == "[]"


def test_pickles_are_opened_in_the_confined_process_only() -> None:
    """By reading the sources: whoever imports a module that unpickles stands here."""
    openers = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    found = set()
    for folder in ("config", "governance", "explain", "registry", "audit", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
                    names = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
                if openers & {name.partition(".")[0] for name in names}:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == set(OPENERS)
