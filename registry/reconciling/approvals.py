"""What was allowed and never became a deployment. The facts lie in the app above, which registers how to read them."""

from __future__ import annotations

from collections.abc import Callable

from registry.reconciling.snapshots import Approval

Source = Callable[[], list[Approval]]

_registered: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Let ``source`` tell what was allowed and not deployed, however long ago. The same name again replaces it."""
    _registered[name] = source


def approvals() -> tuple[Approval, ...]:
    """What all sources tell, by their names' order."""
    return tuple(each for name in sorted(_registered) for each in _registered[name]())
