"""Who types a command: an account of this installation, named with ``--by``."""

from __future__ import annotations

from argparse import ArgumentParser

from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import NotKnown


def add_by(parser: ArgumentParser) -> None:
    """Every command that changes something takes ``--by``."""
    parser.add_argument("--by", required=True, metavar="NAME", help="the account of the person who does this")


def operator(name: str) -> Actor:
    """The actor of an active account. Raises ``NotKnown``."""
    try:
        account = get_user_model().objects.get(username=name, is_active=True)
    except ObjectDoesNotExist:
        raise NotKnown(
            _("There is no active account «%(name)s»: --by takes the name with which you sign in.") % {"name": name},
            code="operator.unknown",
        ) from None
    actor = account.actor
    if not isinstance(actor, Actor):
        raise TypeError(f"the account {name} has no actor")
    return actor
