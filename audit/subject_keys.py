"""A key for each person, in a database of its own: destroying it makes every copy of their values unreadable.

The connection is psycopg's own, not one of Django's: a key is committed before the change that uses it, and a change
that is rolled back leaves at most a key that nobody uses. Keys are remembered for ``REMEMBERED`` seconds; that a
remembered key seals nothing after its erasure is decided in the log's database (``audit.hold_keys``).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils.translation import gettext as _

from audit.refusals import Refusal

#: The tables of the keys' database; whoever sets up a server runs it once (``config.stack.database``).
SCHEMA = Path(__file__).with_suffix(".sql")
#: Seconds for which a process remembers a key, and how many keys.
REMEMBERED = 30.0
MOST_REMEMBERED = 10_000
#: Seconds for which nobody asks again after the database did not answer: a page waits once, not once for each name.
PAUSE = 2.0

log = logging.getLogger(__name__)


class KeysUnavailable(Refusal):
    """The database of the keys does not answer: nothing private can be written, and it is not known what was."""

    status = 503


@dataclass(frozen=True, slots=True)
class Key:
    """A key in use. ``cipher`` seals and opens (AES-256-GCM, NIST SP 800-38D)."""

    key_id: UUID
    cipher: AESGCM


K = TypeVar("K")
V = TypeVar("V")


class _Remembered(Generic[K, V]):
    """At most ``MOST_REMEMBERED`` values, each for ``REMEMBERED`` seconds."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, name: K) -> V | None:
        found = self._values.get(name)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, name: K, value: V) -> None:
        self._values[name] = (time.monotonic() + REMEMBERED, value)
        self._values.move_to_end(name)
        while len(self._values) > MOST_REMEMBERED:
            with suppress(KeyError):  # another thread was as quick
                self._values.popitem(last=False)

    def drop(self, names: Iterable[K]) -> None:
        for name in names:
            self._values.pop(name, None)

    def drop_where(self, unwanted: Callable[[V], bool]) -> None:
        self.drop([name for name, (_until, value) in list(self._values.items()) if unwanted(value)])

    def clear(self) -> None:
        self._values.clear()


_in_use: _Remembered[str, Key] = _Remembered()
_by_id: _Remembered[UUID, AESGCM] = _Remembered()


def in_use(subjects: Iterable[str]) -> dict[str, Key]:
    """The key under which values of each subject are sealed now; made where there is none. One query when all is new.

    Raises ``KeysUnavailable``.
    """
    wanted = set(subjects)
    found = {subject: key for subject in wanted if (key := _in_use.get(subject)) is not None}
    if missing := sorted(wanted - found.keys()):
        rows = _fetch(
            "WITH made AS (INSERT INTO subject_key (key_id, subject, key)"
            " SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[]) ON CONFLICT DO NOTHING"
            " RETURNING subject, key_id, key)"
            " SELECT * FROM made UNION ALL"
            " SELECT subject, key_id, key FROM subject_key WHERE subject = ANY (%s) AND erased_at IS NULL",
            [[uuid4() for _each in missing], missing, [os.urandom(32) for _each in missing], missing],
        )
        for subject, key_id, key in rows:
            found[subject] = Key(key_id, AESGCM(key))
            _in_use.put(subject, found[subject])
            _by_id.put(key_id, found[subject].cipher)
    if wanted - found.keys():  # made by another process after our snapshot began: it is there now
        return in_use(wanted)
    return found


def renewed(subject: str) -> Key:
    """The key of ``subject`` that the database has in use now, whatever is remembered. Raises ``KeysUnavailable``."""
    _in_use.drop([subject])
    return in_use([subject])[subject]


def ciphers(key_ids: Iterable[UUID]) -> dict[UUID, AESGCM | None]:
    """What opens the values sealed under these keys; None for a key that was destroyed. At most one query.

    A key that the database never had is left out: nobody knows why it is gone. Raises ``KeysUnavailable``.
    """
    wanted = set(key_ids)
    found: dict[UUID, AESGCM | None] = {key: cipher for key in wanted if (cipher := _by_id.get(key)) is not None}
    if missing := list(wanted - found.keys()):
        for key_id, key in _fetch("SELECT key_id, key FROM subject_key WHERE key_id = ANY (%s)", [missing]):
            found[key_id] = None if key is None else AESGCM(key)
            if key is not None:
                _by_id.put(key_id, AESGCM(key))
    return found


def destroy(key_ids: Iterable[UUID]) -> int:
    """Destroy these keys for good; returns how many still existed. Safe to repeat. Raises ``KeysUnavailable``.

    Call it only once the log's database has committed that they are erased: until then a writer may still use them.
    """
    wanted = set(key_ids)
    gone = _fetch(
        "UPDATE subject_key SET key = NULL, erased_at = clock_timestamp()"
        " WHERE key_id = ANY (%s) AND erased_at IS NULL RETURNING key_id",
        [list(wanted)],
    )
    _in_use.drop_where(lambda key: key.key_id in wanted)
    _by_id.drop(wanted)
    return len(gone)


def forget() -> None:
    """Remember no key any more: the next use asks the database."""
    _in_use.clear()
    _by_id.clear()


@dataclass
class _Connection:
    """One connection for each process, opened at first use and again after a failure or a fork."""

    lock: threading.Lock
    owner: int = 0
    url: str = ""
    psycopg: psycopg.Connection[tuple[Any, ...]] | None = None
    failed_at: float | None = None

    def fetch(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with self.lock:
            if self.failed_at is not None and time.monotonic() - self.failed_at < PAUSE:
                raise _unavailable()
            try:
                rows = self._fetch(sql, values)
            except psycopg.Error as error:
                self.failed_at = time.monotonic()
                self.close()
                log.warning("the database of the subjects' keys does not answer", exc_info=error)
                raise _unavailable() from error
            self.failed_at = None
            return rows

    def _fetch(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        fresh = self._open()
        assert self.psycopg is not None  # noqa: S101  (opened above)
        try:
            return self.psycopg.execute(sql, values).fetchall()
        except psycopg.OperationalError:
            if fresh:
                raise
            self.close()  # the server was restarted meanwhile; every statement here may be repeated
            return self._fetch(sql, values)

    def _open(self) -> bool:
        url = str(settings.SUBJECT_KEYS_DATABASE_URL)
        if self.psycopg is not None and (self.owner, self.url) == (os.getpid(), url) and not self.psycopg.closed:
            return False
        if self.owner == os.getpid():
            self.close()
        self.psycopg = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=3,
            application_name="subject-keys",
            options="-c statement_timeout=5000",
        )
        self.owner, self.url = os.getpid(), url
        return True

    def close(self) -> None:
        if self.psycopg is not None:
            self.psycopg.close()
        self.psycopg = None


_connection = _Connection(threading.Lock())
atexit.register(_connection.close)
os.register_at_fork(after_in_child=lambda: setattr(_connection, "lock", threading.Lock()))


def _fetch(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    if not settings.SUBJECT_KEYS_DATABASE_URL:
        raise KeysUnavailable(
            _("SUBJECT_KEYS_DATABASE_URL is not set: without the database of the keys nothing private can be kept."),
            code="keys.not_set",
        )
    return _connection.fetch(sql, values)


def _unavailable() -> KeysUnavailable:
    return KeysUnavailable(
        _("The database that holds the keys of names and reasons does not answer; nothing was written. Repeat later."),
        code="keys.unavailable",
    )
