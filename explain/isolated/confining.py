"""What the isolated process gives up before it opens an artifact. It runs in that process, before any other import.

No single measure is enough, so that each that the machine permits is taken and the answer names those that held: a
network namespace of its own (also a user namespace, so that the parent's memory and environment are out of reach),
Landlock's file rules, limits of resources, and an audit hook as the last and weakest one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

#: Bytes of address space, open files, bytes of any file written, processor seconds beside those of the time limit.
ADDRESS_SPACE, OPEN_FILES, FILE_SIZE, GRACE = 8 << 30, 256, 256 << 20, 5

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
#: Landlock's rights: execute, read a file, read a folder; all of the first version; those that later ones added.
_READ, _FIRST = 0b1101, (1 << 13) - 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
#: What libraries read of the machine.
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc", "/sys/devices", "/sys/fs/cgroup")
DEVICES = ("/dev/null", "/dev/urandom")

_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.", "ctypes.dlopen")
_NAMED = {
    "os.system",
    "os.forkpty",
    "os.kill",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.chmod",
    "os.mkdir",
    "os.link",
}


def limit(seconds: int) -> None:
    """Bound memory, processor time, open files and what may be written."""
    for what, most in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1) + GRACE),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_CORE, 0),
    ):
        _soft, hard = resource.getrlimit(what)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))


def leave_network() -> bool:
    """A user and a network namespace of its own, without any interface. Only while the process has one thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.unshare(_NEWUSER | _NEWNET) == 0)


def restrict_files(readable: list[Path], writable: Path) -> bool:
    """Landlock: nothing but ``readable`` can be read and nothing but ``writable`` be written, by any code."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    everything = _FIRST | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    ruleset = libc.syscall(_CREATE_RULESET, struct.pack("=Q", everything), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    for path, rights in [(path, _READ) for path in readable] + [(writable, everything)]:
        if not path.exists():
            continue
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        # a file has no folder rights: the kernel refuses a rule that names them
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & 0b111, opened)
        done = libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
        os.close(opened)
        if done != 0:
            return False
    restricted = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(restricted)


class Refused(PermissionError):  # noqa: N818
    """Code in the isolated process tried what it has no business with."""


def forbid(readable: list[Path], writable: Path) -> None:
    """An audit hook that refuses sockets, processes, native libraries, and files elsewhere. It cannot be removed."""
    allowed = tuple(os.path.realpath(path) for path in [*readable, writable])
    own = os.path.realpath(writable)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NAMED or event.startswith(_FORBIDDEN):
            raise Refused(f"{event} is not allowed here")
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            if not any(path == each or path.startswith(each + os.sep) for each in ((own,) if writes else allowed)):
                raise Refused(f"{path} is not allowed here")

    sys.addaudithook(hook)
