"""What a data set of OpenLineage is called here: computed from namespace, name and version, the same in any order.

``<readable>.<20 hexadecimal digits>``: the readable part is the end of the name in the letters that a name may have
here; the digits are the beginning of SHA-256 over namespace, name and version. Two data sets do not share a name; were
they to, the second would be refused and not merged (``OpenLineageName.dataset_name`` is unique).

The namespace ``countersign`` names a data set of this registry: whatever a producer calls so is that very data set.
"""

from __future__ import annotations

import hashlib
import re

import orjson

from registry.models.versions import NAME_PATTERN
from registry.sources.openlineage_events import Identity

#: Of data sets that were registered here and not by OpenLineage.
OWN = "countersign"
_DIGITS = 20
_READABLE = 80
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_NAME = re.compile(NAME_PATTERN.strip("^$"))


def key_of(identity: Identity) -> str:
    """SHA-256, hexadecimal, of the three texts as a JSON array: no two identities write the same one."""
    return hashlib.sha256(orjson.dumps([identity.namespace, identity.name, identity.version])).hexdigest()


def name_of(identity: Identity) -> str:
    """The name of the data set here; fits ``NAME_PATTERN`` for any identity."""
    if identity.namespace == OWN and not identity.version and _NAME.fullmatch(identity.name):
        return identity.name
    said = f"{identity.name}-{identity.version}" if identity.version else identity.name
    readable = _OTHER.sub("-", said)[-_READABLE:].strip("-._")
    return f"{readable or 'dataset'}.{key_of(identity)[:_DIGITS]}"
