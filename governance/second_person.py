"""Whether somebody may be the second person: what needs two is not done by one who also holds a machine's token."""

from __future__ import annotations

from audit.actors import Actor
from governance.models.token import ApiToken


def is_first(first: str, by: Actor) -> bool:
    """Whether ``by`` is who did the first step (an actor id), or issued a token to the service account that did it.

    Whoever issues a token sees its secret, so what was done with it may be their own act; a token that has ended since
    counts as well. One query for a service account, none for a person.
    """
    if first == by.id:
        return True
    kind, _colon, uuid = first.partition(":")
    return kind == "service" and ApiToken.objects.filter(owner__uuid=uuid, issued_by=by.id).exists()
