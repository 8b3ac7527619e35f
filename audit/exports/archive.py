"""The archive of a bundle: the same members give the same bytes, and memory stays flat.

Members are stored, not compressed: a reader needs no bound for what they unpack to, and a flipped byte stays one
flipped byte. The layout is that of ``audit.exports.verifier.formats``, which accepts no other.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from audit.exports.verifier.formats import (
    MANIFEST,
    MAX_MEMBERS,
    NAME,
    SUMS,
    central_header,
    end_of_archive,
    local_header,
)

_PIECE = 1 << 20


class Spool:
    """A member that grows while others are written: a file without a name beside the archive."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed below
        self._sha, self.crc, self.size = hashlib.sha256(), 0, 0

    def write(self, data: bytes) -> None:
        """Add bytes. Raises ``OSError`` when the disk is full."""
        self._file.write(data)
        self._sha.update(data)
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Digest of everything written, in hexadecimal."""
        return self._sha.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Everything that was written, from the start."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


class Archive:
    """Writes one archive to ``target``. ``sums`` collects the line of each member for ``sha256sum -c``."""

    def __init__(self, target: BinaryIO, folder: Path) -> None:
        self._target = target
        self._directory, self.sums = Spool(folder), Spool(folder)
        self._offset = self.count = 0

    def add(self, name: str, data: bytes) -> str:
        """Write a member. Returns its SHA-256 in hexadecimal."""
        digest = hashlib.sha256(data).hexdigest()
        self._begin(name, len(data), zlib.crc32(data), digest)
        self._target.write(data)
        return digest

    def add_spool(self, name: str, spool: Spool) -> str:
        """Write a member that was collected meanwhile, and close it."""
        digest = spool.sha256
        self._begin(name, spool.size, spool.crc, digest)
        for piece in spool.pieces():
            self._target.write(piece)
        spool.close()
        return digest

    def close(self) -> int:
        """Write the directory. Returns the size of the archive in bytes."""
        for piece in self._directory.pieces():
            self._target.write(piece)
        size = self._directory.size
        end = end_of_archive(self.count, size, self._offset)
        self._target.write(end)
        return self._offset + size + len(end)

    def release(self) -> None:
        """Give back what lies beside the archive, whether it was finished or not."""
        self._directory.close()
        self.sums.close()

    def _begin(self, name: str, size: int, crc: int, digest: str) -> None:
        if not NAME.match(name) or self.count >= MAX_MEMBERS:
            raise ValueError(f"the archive cannot hold a member called {name[:100]!r}")
        if name not in (SUMS, MANIFEST):
            self.sums.write(f"{digest}  {name}\n".encode())
        header = local_header(name, size, crc)
        self._target.write(header)
        self._directory.write(central_header(name, size, crc, self._offset))
        self._offset += len(header) + size
        self.count += 1
