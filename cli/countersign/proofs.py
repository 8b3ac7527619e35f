"""The flags of the commands that verify what the server signed: ``attest``, ``verify`` and ``permit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from countersign import attest, permits


def add(commands: Any, command: Callable[..., Any], flags: Callable[..., None]) -> None:
    """Add them to the parser; ``command`` and ``flags`` give a command what every command has."""
    keys = "JWKS file, or a key's thumbprint, which is then fetched from the server"
    one = command(commands, "attest", attest.attest)
    flags(one, decision="dec_...", out="file that does not exist yet", key=f"verify first: {keys}")
    one = command(commands, "verify", attest.verify)
    one.add_argument("file", nargs="?", metavar="FILE", help="the attestation [COUNTERSIGN_FILE]")
    flags(one, key=keys, digest="sha256:... that it must be about", environment="slug that it must be about")
    flags(one, decision="dec_... that it must be of", verifier="address of the server that it must be of")
    group = commands.add_parser("permit", help="deploy permits", allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    one = command(ways, "verify", permits.verify)
    flags(one, key=keys, permit="cspermit_...", answer="file of check --save instead", decision="dec_...")
    flags(one, digest="sha256:... of what is deployed", environment="slug")
    one = command(ways, "consume", permits.consume)
    flags(one, decision="dec_...", permit="cspermit_...", answer="file of check --save instead of both")
    flags(one, digest="sha256:... of what is deployed", environment="slug")
