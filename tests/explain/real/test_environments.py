"""The environments of the servers: made once, by hash, by one process, and made again when they were interrupted."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.explain.real import environments
from tests.explain.real.environments import COMPLETE, CannotMake, prepare

#: The line of a lock that names a package of one small wheel, and the lines of its hashes.
SIX = re.compile(r"^six==[^\n]+\\\n(?:    --hash=[^\n]+\n?)+", re.MULTILINE)
REAL = environments.LOCKS


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a folder of locks that this test alone uses."""
    monkeypatch.setenv("COUNTERSIGN_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    return tmp_path / "cache"


def write(folder: Path, *, change: str = "") -> Path:
    """A lock that names one small package, as MLflow's lock names it."""
    found = SIX.search((REAL / "mlflow.lock").read_text())
    assert found is not None
    (folder / "small.lock").write_text(found.group() + change)
    return folder / "small.lock"


def test_two_that_want_the_same_environment_at_once_get_one_that_works(tmp_path: Path) -> None:
    write(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(prepare, ["small", "small"])
    assert one.folder == two.folder
    assert sorted((one.seconds > 0, two.seconds > 0)) == [False, True]
    subprocess.run([one.python, "-c", "import six"], check=True)
    assert prepare("small").seconds == 0


def test_one_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    write(tmp_path)
    made = prepare("small")
    (made.folder / COMPLETE).unlink()
    stray = made.folder / "half-written"
    stray.write_text("")
    again = prepare("small")
    assert again.folder == made.folder
    assert again.seconds > 0
    assert not stray.exists()
    subprocess.run([again.python, "-c", "import six"], check=True)


def test_a_changed_lock_makes_another_and_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path)
    old = prepare("small")
    write(tmp_path, change="# changed\n")
    new = prepare("small")
    assert new.folder != old.folder
    assert (old.folder / COMPLETE).exists()


def test_a_package_of_another_hash_is_refused_and_the_environment_is_not_complete(
    tmp_path: Path, own_cache: Path
) -> None:
    lock = write(tmp_path)
    lock.write_text(re.sub("sha256:[0-9a-f]+", f"sha256:{'0' * 64}", lock.read_text()))
    with pytest.raises(CannotMake, match="hash"):
        prepare("small")
    assert list(own_cache.glob(f"*/{COMPLETE}")) == []


@pytest.mark.parametrize("server", ["mlflow", "mlserver", "kserve", "triton", "bentoml", "ray", "seldon"])
def test_every_lock_has_hashes_and_names_no_index(server: str) -> None:
    text = (REAL / f"{server}.lock").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) > 20
    assert all("==" in line and line.endswith("\\") for line in lines)
    assert "://" not in text
    assert "nvidia-nccl" not in text
