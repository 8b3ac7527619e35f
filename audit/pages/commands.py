"""The commands that a reader copies to check the log with tools that are not ours (``docs/audit-log.md``)."""

from __future__ import annotations

import base64
import json

from audit.entries import EntryDetail


def check_signature(checkpoint_url: str) -> str:
    """Verify the newest checkpoint's Ed25519 signature with curl, coreutils and openssl 3 alone.

    The printf gives the DER prefix of an Ed25519 public key (RFC 8410); 32 key bytes follow. A signature line holds a
    key id of 4 bytes and 64 bytes of signature.
    """
    vkey_url = checkpoint_url.removesuffix("checkpoint") + "vkey"
    return f"""curl -fsS {checkpoint_url} > checkpoint
curl -fsS {vkey_url} > vkey
head -n 3 checkpoint > body
sed -n 5p checkpoint | cut -d ' ' -f 3 | base64 -d | tail -c 64 > signature
printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000' > key.der
head -n 1 vkey | cut -d + -f 3- | base64 -d | tail -c 32 >> key.der
openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in body -sigfile signature"""


def verify_inclusion(detail: EntryDetail) -> str:
    """Verify the entry's inclusion proof with pymerkle; empty until a checkpoint covers the entry."""
    if detail.inclusion is None or detail.row.index is None:
        return ""
    document = json.dumps(detail.inclusion.for_pymerkle(detail.row.index, detail.leaf_hash))
    return f"""# pip install pymerkle
python3 - <<'EOF'
import base64, hashlib, json
from pymerkle import MerkleProof, verify_inclusion
entry = base64.b64decode("{base64.b64encode(detail.data).decode()}")
proof = MerkleProof.deserialize(json.loads('''{document}'''))
leaf = hashlib.sha256(b"\\x00" + entry).digest()
root = bytes.fromhex("{detail.inclusion.checkpoint.root.hex()}")
verify_inclusion(leaf, root, proof, index={detail.row.index + 1}, size={detail.inclusion.checkpoint.size})
print(entry.decode())
EOF"""
