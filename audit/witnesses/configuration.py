"""The policy of this installation: the file that WITNESS_POLICY names (C2SP tlog-policy)."""

from __future__ import annotations

import itertools
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from audit.merkle.policy import Policy, PolicyInvalid
from audit.witnesses.client import Target

#: Bytes; a policy of hundreds of witnesses is smaller.
MAX_FILE = 1_000_000
#: With more witnesses than this the smallest quorum is not searched for.
_COUNTED = 12

_read: dict[tuple[str, int, int], Policy] = {}


class PolicyUnusable(Exception):  # noqa: N818
    """WITNESS_POLICY is set but cannot be followed; the text says why and where."""


def policy() -> Policy | None:
    """The configured policy, None when WITNESS_POLICY is not set. Read again when the file changed.

    Raises ``PolicyUnusable``.
    """
    name = str(settings.WITNESS_POLICY)
    if not name:
        return None
    path = Path(name)
    try:
        told = path.stat()
        key = (name, told.st_mtime_ns, told.st_size)
        if key not in _read:
            if told.st_size > MAX_FILE:
                raise PolicyUnusable(_("The witness policy %(path)s is too long.") % {"path": name})
            made = Policy.parse(path.read_bytes().decode())
            _read.clear()
            _read[key] = made
        return _read[key]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else _("it is not UTF-8")
        raise PolicyUnusable(
            _("The witness policy %(path)s cannot be read: %(why)s.") % {"path": name, "why": why}
        ) from error
    except PolicyInvalid as error:
        raise PolicyUnusable(
            _("The witness policy %(path)s is wrong in %(problem)s.") % {"path": name, "problem": error}
        ) from error


def targets(chosen: Policy) -> list[Target]:
    """The witnesses that have an address to submit to."""
    return [Target(name, one.vkey, one.url) for name, one in chosen.witnesses.items() if one.url]


def smallest_quorum(chosen: Policy) -> int:
    """How many witnesses a quorum needs at least: lets a query pass over checkpoints that cannot have one."""
    names = list(chosen.witnesses)
    if len(names) > _COUNTED:
        return 1
    for count in range(1, len(names) + 1):
        if any(chosen.satisfied(some) for some in itertools.combinations(names, count)):
            return count
    return 1
