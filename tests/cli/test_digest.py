"""``countersign digest``: the same files have the same digest everywhere, and nothing else does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import rfc8785

from tests.cli.gate import run


def digest(path: Path) -> str:
    done = run("digest", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def expected(files: dict[str, bytes]) -> str:
    """Computed with the ``rfc8785`` package, which the command does not use."""
    listed = [{"path": name, "sha256": hashlib.sha256(files[name]).hexdigest()} for name in sorted(files)]
    return "sha256:" + hashlib.sha256(rfc8785.dumps(listed)).hexdigest()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_a_sorted_manifest_of_its_files(tmp_path: Path) -> None:
    files = {
        "model.pkl": b"\x00\x01",
        "MLmodel": b"a: 1\n",
        'data/é "x".txt': b"",
        "a-b": b"1",
        "a/b": b"2",
        ".hidden": b"3",
    }
    assert digest(write(tmp_path, files)) == expected(files)


def test_times_and_modes_do_not_count_but_names_and_bytes_do(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a": b"1", "b": b"2"})
    two = write(tmp_path / "two", {"b": b"2", "a": b"1"})
    os.utime(two / "a", (0, 0))
    (two / "a").chmod(0o700)
    assert digest(one) == digest(two)
    (two / "a").rename(two / "c")
    assert digest(one) != digest(two)


def test_a_file_is_a_manifest_of_one(tmp_path: Path) -> None:
    write(tmp_path, {"m.onnx": b"x"})
    assert digest(tmp_path / "m.onnx") == expected({"m.onnx": b"x"}) == digest(tmp_path)


def test_what_has_no_fixed_content_exits_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    linked = write(tmp_path / "linked", {"a": b"1"})
    (linked / "b").symlink_to("a")
    piped = write(tmp_path / "piped", {"a": b"1"})
    os.mkfifo(piped / "p")
    for path in (tmp_path / "absent", tmp_path / "empty", linked, piped):
        assert run("digest", str(path)).returncode == 2


def test_a_name_that_is_not_utf8_exits_2(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1"})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"")
    assert run("digest", str(tmp_path)).returncode == 2
