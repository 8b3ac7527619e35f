"""Verify an export bundle of a Countersign log. One file, Python 3.8 or newer, no network, nothing to install.

    python verify.py bundle.zip --key KEY [--key KEY ...] [--policy FILE] [--kept CHECKPOINT] [--json]

KEY is a verification key of the log (name+id+base64) or a file with one on each line. It must come from elsewhere:
whoever made the bundle could have put any key into it. Exit 0: verified. 1: a defect, named. 2: could not verify.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

# ── cut here ──
COMMENT = b"countersign-bundle/1"
FIRST, SUMS, MANIFEST = "checkpoint", "SHA256SUMS", "manifest.json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "urn:countersign:export:1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_MEMBERS, MAX_SMALL, MAX_LINE, MAX_FINDINGS = 600_000, 4 << 20, 4 << 20, 50
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,120}){0,12}\Z")
DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
WIDE = 0xFFFFFFFF


class Defect(Exception):  # noqa: N818
    """The bundle is not what its maker signed (exit 1)."""


class Unable(Exception):  # noqa: N818
    """Nothing can be said about the bundle (exit 2)."""


class Member(NamedTuple):
    """One file of the bundle: where its bytes are, and their digest."""

    offset: int
    size: int
    crc: int
    sha256: str


class Key(NamedTuple):
    """A verification key; type 1 signs logs with Ed25519, type 4 is an Ed25519 witness."""

    name: str
    key_id: bytes
    kind: int
    public: bytes


# ── the archive: exactly one way to write it, so that no byte of it can differ unseen ────────────────────────────────
def local_header(name: str, size: int, crc: int) -> bytes:
    """The header before a member's bytes (APPNOTE 4.3.7): stored, dated 1980-01-01."""
    wide, raw = size >= WIDE, name.encode("ascii")
    extra = struct.pack("<HHQQ", 1, 16, size, size) if wide else b""
    short = WIDE if wide else size
    version = 45 if wide else 20
    return (
        struct.pack("<4s5H3I2H", b"PK\3\4", version, 0, 0, 0, 33, crc, short, short, len(raw), len(extra)) + raw + extra
    )


def central_header(name: str, size: int, crc: int, offset: int) -> bytes:
    """The member's line in the central directory (4.3.12): a plain file, mode 0644."""
    raw = name.encode("ascii")
    wide = ([size, size] if size >= WIDE else []) + ([offset] if offset >= WIDE else [])
    extra = struct.pack("<HH%dQ" % len(wide), 1, 8 * len(wide), *wide) if wide else b""
    short, version = min(size, WIDE), 45 if wide else 20
    head = (b"PK\1\2", 3 << 8 | version, version, 0, 0, 0, 33, crc, short, short, len(raw), len(extra), 0, 0, 0)
    return struct.pack("<4s6H3I5H2I", *head, 0o100644 << 16, min(offset, WIDE)) + raw + extra


def end_of_archive(count: int, size: int, offset: int) -> bytes:
    """What closes the archive (4.3.14 to 4.3.16), with the zip64 records when it is large."""
    wide = b""
    if count >= 0xFFFF or size >= WIDE or offset >= WIDE:
        wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, offset)
        wide += struct.pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
    few = min(count, 0xFFFF)
    sizes = (min(size, WIDE), min(offset, WIDE), len(COMMENT))
    return wide + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, few, few, *sizes) + COMMENT


class Bundle:
    """The archive, read once from start to end; members are then read again at their offsets."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Unable("%s is not a file" % path)
        self.file, self.size = file, found.st_size
        self.members: dict[str, Member] = {}
        self.findings: list[str] = []
        start = self.file.read(30 + len(FIRST))
        self.file.seek(max(0, self.size - len(COMMENT)))
        if start[30:] != FIRST.encode() and self.file.read() != COMMENT:
            raise Unable("%s is not a bundle of a Countersign log" % path)
        self._walk()

    def report(self, finding: str) -> None:
        """Keep a defect and go on: the first one is seldom the one that explains the others."""
        if len(self.findings) < MAX_FINDINGS and finding not in self.findings:
            self.findings.append(finding)

    def _walk(self) -> None:
        self.file.seek(0)
        headers: list[tuple[str, int, int, int]] = []
        offset = 0
        while True:
            head = self._exactly(30, offset)
            if head[:4] != b"PK\3\4":
                break
            length, more = struct.unpack("<2H", head[26:])
            rest = self._exactly(length + more, offset + 30)
            name = rest[:length].decode("latin-1")
            if not NAME.match(name) or name in self.members or len(headers) >= MAX_MEMBERS:
                raise Defect("the archive at byte %d: the name %a is not allowed, or doubled" % (offset, name[:200]))
            crc, size = struct.unpack("<2I", head[14:22])
            if size == WIDE and more == 20:
                size = struct.unpack("<Q", rest[length + 4 : length + 12])[0]
            if local_header(name, size, crc) != head + rest:
                raise Defect("the archive at byte %d: the header of %s was changed" % (offset, name))
            begin = offset + 30 + length + more
            if begin + size > self.size:
                raise Defect("%s claims %d bytes and the file ends before: it was cut off or changed" % (name, size))
            self._digest(name, begin, size, crc)
            headers.append((name, size, crc, offset))
            offset = begin + size
        position = offset
        for header in headers:
            line = central_header(*header)
            if self._exactly(len(line), position) != line:
                raise Defect("the archive's directory differs at %s (byte %d)" % (header[0], position))
            position += len(line)
        end = end_of_archive(len(headers), position - offset, offset)
        if self._exactly(len(end), position) != end or position + len(end) != self.size:
            raise Defect("the end of the archive was changed (byte %d)" % position)

    def _exactly(self, count: int, offset: int) -> bytes:
        self.file.seek(offset)
        data = self.file.read(count)
        if len(data) != count:
            raise Defect("the file was cut off or changed at byte %d" % offset)
        return data

    def _digest(self, name: str, begin: int, size: int, crc: int) -> None:
        sha, found, left = hashlib.sha256(), 0, size
        self.file.seek(begin)
        while left:
            part = self.file.read(min(left, 1 << 20))
            sha.update(part)
            found = zlib.crc32(part, found)
            left -= len(part)
        if found != crc:
            self.report("%s: its bytes were changed" % name)
        self.members[name] = Member(begin, size, crc, sha.hexdigest())

    def read(self, name: str, limit: int = MAX_SMALL) -> bytes:
        """A whole member. Raises ``Defect`` when it is missing or larger than anything of its kind."""
        member = self.members.get(name)
        if member is None:
            raise Defect("%s is missing" % name)
        if member.size > limit:
            raise Defect("%s is larger than any such file" % name)
        return self._exactly(member.size, member.offset)

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member without their line feeds; nothing when there is no such member."""
        member = self.members.get(name)
        position, left = (member.offset, member.size) if member else (0, 0)
        while left:
            self.file.seek(position)
            line = self.file.readline(min(left, MAX_LINE))
            if not line.endswith(b"\n"):
                raise Defect("%s: a line is too long or has no end" % name)
            position, left = position + len(line), left - len(line)
            yield line[:-1]


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────────
def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds, by ``cryptography`` or by openssl 3. Raises ``Unable`` when there is neither."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except Exception:  # absent, or too broken to be imported
        return _by_openssl(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _by_openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    program = shutil.which("openssl")
    if not program:
        raise Unable("Ed25519 needs the Python package cryptography or the program openssl 3; neither is here")
    with tempfile.TemporaryDirectory() as folder:
        key, text, sig = (os.path.join(folder, name) for name in ("key", "text", "sig"))
        for path, data in (
            (key, bytes.fromhex("302a300506032b6570032100") + public),
            (text, message),
            (sig, signature),
        ):
            with open(path, "wb") as file:
                file.write(data)
        command = [program, "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key]
        command += ["-rawin", "-in", text, "-sigfile", sig]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def require_ed25519() -> None:
    """Try it on a vector of RFC 8032 (7.1, TEST 2): an openssl that cannot verify must not read as a bad signature."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    if not ed25519(public, b"r", signature) or ed25519(public, b"x", signature):
        raise Unable("the openssl of this machine cannot verify Ed25519; install the package cryptography or openssl 3")


def unbase64(text: str) -> bytes:
    """Base64 with no second way to write the same bytes. Raises ``Defect``."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = b""
    if not text or base64.b64encode(data).decode() != text:
        raise Defect("%a is not base64" % text[:60])
    return data


def parse_key(text: str) -> Key:
    """A key in the form name+id+base64 (C2SP signed-note). Raises ``Unable``."""
    try:
        name, key_id, encoded = text.split("+", 2)
        data = unbase64(encoded)
    except (ValueError, Defect):
        raise Unable("%a is not a verification key in the form name+id+base64" % text[:80])
    digest = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if not name or digest.hex() != key_id or (data[0] in (1, 4) and len(data) != 33):
        raise Unable("the verification key of %a is malformed: its id does not belong to it" % name[:80])
    return Key(name, digest, data[0], data[1:])


class Note:
    """A signed checkpoint (C2SP tlog-checkpoint). Raises ``Defect`` when it is malformed."""

    def __init__(self, data: bytes, what: str) -> None:
        try:
            text = data.decode()
            body, lines = text.rsplit("\n\n", 1)
            self.body = (body + "\n").encode()
            self.origin, size, root = body.split("\n")
            self.size, self.root = int(size), unbase64(root)
            signed = [line.split(" ") for line in lines[:-1].split("\n")]
            self.signatures = [(name, unbase64(sig)) for dash, name, sig in signed if dash == "\u2014"]
        except (ValueError, Defect):
            raise Defect("%s is not a signed checkpoint" % what)
        if (
            str(self.size) != size
            or len(self.root) != 32
            or not text.endswith("\n")
            or len(self.signatures) != len(signed)
        ):
            raise Defect("%s is not a signed checkpoint" % what)

    def signed_by(self, key: Key) -> bool:
        """Whether the key signed it; a line of this key that does not hold rejects the note."""
        found = [data[4:] for name, data in self.signatures if (name, data[:4]) == (key.name, key.key_id)]
        for data in found:
            text = self.body
            if key.kind == 4:
                text = b"cosignature/v1\ntime %d\n" % int.from_bytes(data[:8], "big") + text
                data = data[8:]
            if len(data) != 64 or not ed25519(key.public, text, data):
                raise Defect("the signature of %s on the checkpoint of size %d does not hold" % (key.name, self.size))
        return bool(found)


# ── the tree (RFC 9162 section 2.1) ──────────────────────────────────────────────────────────────────────────────────
def leaf_hash(entry: bytes) -> bytes:
    """``SHA-256(0x00 || entry)``."""
    return hashlib.sha256(b"\0" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(level: Sequence[bytes]) -> bytes:
    """The root over hashes: pairs, level by level; an odd last one is carried up unchanged."""
    while len(level) > 1:
        paired = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + list(level[len(level) & ~1 :])
    return level[0] if level else hashlib.sha256(b"").digest()


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path leads from the leaf to the root (2.1.3.2)."""
    fn, sn, hashed = index, size - 1, leaf
    for sibling in path:
        if not sn:
            return False
        if fn & 1 or fn == sn:
            hashed = node(sibling, hashed)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hashed = node(hashed, sibling)
        fn, sn = fn >> 1, sn >> 1
    return 0 <= index < size and not sn and hashed == root


def extends(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of ``new`` leaves begins with that of ``old`` (2.1.4.2)."""
    if not 0 < old < new:
        return old == new and not path and old_root == new_root
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if not sn:
            return False
        if fn & 1 or fn == sn:
            first, second = node(sibling, first), node(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    return not sn and first == old_root and second == new_root


def tile_path(level: object, index: int, width: int) -> str:
    """The name of a tile (C2SP tlog-tiles)."""
    name = "%03d" % (index % 1000)
    while index >= 1000:
        index //= 1000
        name = "x%03d/" % (index % 1000) + name
    return "tile/%s/%s" % (level, name) + ("" if width == 256 else ".p/%d" % width)
