"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("config", "audit", "registry", "explain", "governance", "cli")
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}


def run(*command: str) -> str:
    """A tool's output; fails the test with it when the tool complains."""
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_ruff_finds_nothing() -> None:
    run(str(BIN / "ruff"), "check", ".")
    run(str(BIN / "ruff"), "format", "--check", ".")


def test_mypy_strict_finds_nothing() -> None:
    run(str(BIN / "mypy"))


def test_imports_go_down_only() -> None:
    assert "0 broken" in run(str(BIN / "lint-imports"))


def test_templates_are_in_djade_form() -> None:
    run(str(BIN / "djade"), "--check", *[str(path) for path in tracked("templates/*.html")])


def test_every_model_change_has_its_migration() -> None:
    run(sys.executable, "manage.py", "makemigrations", "--check", "--dry-run")


def test_the_deployment_check_is_clean() -> None:
    environment = {k: v for k, v in ENVIRONMENT.items() if k not in {"DJANGO_SETTINGS_MODULE", "PUBLIC_URL"}}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pattern", ["*.py", "*.js", "*.css", "*.html"])
def test_no_module_passes_400_lines(pattern: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(pattern)
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_no_function_needs_scrolling() -> None:
    long = []
    for path in tracked(*[f"{app}/*.py" for app in APPS]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > 60:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} {length}")
    assert not long


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "helpers", "common", "services", "managers"}
    assert not [
        path for path in tracked("*.py") if path.stem in vague or vague & set(path.relative_to(ROOT).parts[:-1])
    ]


def named_by(node: ast.AST) -> Iterator[ast.Call]:
    """The calls whose values a test may be named by: a dictionary's or a function's are not in the name."""
    if isinstance(node, ast.Call):
        yield node
    if not isinstance(node, ast.Dict | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from named_by(child)


def test_no_test_is_named_by_the_clock_or_by_chance() -> None:
    """Several processes collect the suite and must find the same names: a moment in a parameter makes two of them."""
    restless = {"now", "today", "time", "uuid4", "random", "token_hex", "token_urlsafe", "urandom"}
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in tracked("tests/*.py")
        for decorated in ast.walk(ast.parse(path.read_text()))
        for decorator in getattr(decorated, "decorator_list", ())
        for call in named_by(decorator)
        if ast.unparse(call.func).rsplit(".", 1)[-1] in restless
    ]
    assert not found, found


def test_no_page_names_another_host() -> None:
    found = []
    for path in tracked("templates/*", "static/*"):
        for match in re.finditer(r"(?:src|href|url\()\s*=?\s*[\"'(]?(?:https?:)?//", path.read_text()):
            found.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert not found


def test_every_page_and_command_is_in_the_readme() -> None:
    from django.urls import get_resolver

    readme = (ROOT / "README.md").read_text()
    commands = {path.stem for path in (ROOT / "config/management/commands").glob("[a-z]*.py")}
    commands |= {path.stem for app in APPS for path in (ROOT / app / "management/commands").glob("[a-z]*.py")}
    missing = [f"manage.py {name}" for name in sorted(commands) if f"manage.py {name}" not in readme]
    pages = {
        str(entry.pattern).split("<")[0].rstrip("/")
        for included in get_resolver().url_patterns
        if hasattr(included, "url_patterns") and not str(included.pattern)
        for entry in included.url_patterns
    }
    missing += [f"/{page}" for page in sorted(pages) if page and f"/{page}" not in readme]
    assert not missing


def test_nothing_of_others_is_committed() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked()]
    assert not [name for name in names if re.search(r"\.min\.(js|css)$|\.woff2?$|^uv\.lock$|node_modules", name)]


def test_the_lock_has_a_hash_for_every_package_and_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", lock)
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)
    assert "://" not in lock
