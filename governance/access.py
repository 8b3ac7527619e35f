"""Who may do what: the one table, and the backend that answers from it.

People hold roles; the table maps each role to its actions. Service accounts and tokens hold scopes. What a token may do
is never more than its owner may do at that moment, and never one of the actions that need a person (``PERSONAL``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.core.checks import CheckMessage, Error, register
from django.http import HttpRequest
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from audit.refusals import NotPermitted
from governance.models.roles import DOING, PERSONAL, SCOPES, Action, Role
from governance.models.user import User

_READS = frozenset({Action.AUDIT_READ, Action.REGISTRY_READ, Action.EXPLAIN_READ, Action.PROMOTION_READ})

#: The rule table. A role that is not here, or an action that is not in a role's set, is refused.
RULES: Mapping[Role, frozenset[Action]] = {
    Role.ML_LEAD: _READS
    | {
        Action.EVIDENCE_CHANGE,
        Action.REGISTRY_CHANGE,
        Action.LINEAGE_REPORT,
        Action.EXPLAIN_REQUEST,
        Action.PROMOTION_REQUEST,
        Action.PROMOTION_SIGN,
        Action.PROMOTION_WITHDRAW,
        Action.WAIVER_CHANGE,
        Action.GATE_CHECK,
        Action.ROLLBACK_RECORD,
        Action.EMERGENCY_DECLARE,
        Action.EMERGENCY_REVIEW,
        Action.FINDING_TAKE,
        Action.FINDING_CLOSE,
        Action.TOKEN_ISSUE,
    },
    Role.COMPLIANCE_OFFICER: _READS
    | {
        Action.EVIDENCE_CHANGE,
        Action.FINDING_TAKE,
        Action.FINDING_CLOSE,
        Action.AUDIT_EXPORT,
        Action.DATASET_CONFIRM,
        Action.EXPLAIN_REQUEST,
        Action.PROMOTION_SIGN,
        Action.GATE_CHECK,
        Action.POLICY_CHANGE,
        Action.POLICY_ACTIVATE,
        Action.TRANSFER_CHANGE,
        Action.WAIVER_CHANGE,
        Action.WAIVER_APPROVE,
        Action.EMERGENCY_DECLARE,
        Action.EMERGENCY_REVIEW,
        Action.INCIDENT_CHANGE,
        Action.INCIDENT_LIFT,
        Action.TOKEN_ISSUE,
    },
    Role.DPO: _READS
    | {
        Action.EVIDENCE_CHANGE,
        Action.FINDING_TAKE,
        Action.AUDIT_EXPORT,
        Action.DATASET_CONFIRM,
        Action.PROMOTION_SIGN,
        Action.GATE_CHECK,
        Action.POLICY_ACTIVATE,
        Action.TRANSFER_CHANGE,
        Action.WAIVER_CHANGE,
        Action.WAIVER_APPROVE,
        Action.EMERGENCY_DECLARE,
        Action.EMERGENCY_REVIEW,
        Action.INCIDENT_CHANGE,
        Action.INCIDENT_LIFT,
        Action.ACCOUNT_ERASE,
        Action.TOKEN_ISSUE,
    },
    Role.AUDITOR: _READS | {Action.AUDIT_EXPORT},
    Role.DATA_SCIENTIST: _READS
    | {
        Action.EVIDENCE_CHANGE,
        Action.REGISTRY_CHANGE,
        Action.LINEAGE_REPORT,
        Action.EXPLAIN_REQUEST,
        Action.PROMOTION_REQUEST,
        Action.PROMOTION_WITHDRAW,
        Action.WAIVER_CHANGE,
        Action.GATE_CHECK,
        Action.TOKEN_ISSUE,
    },
    Role.OPERATOR: _READS
    | {
        Action.EVIDENCE_CHANGE,
        Action.LINEAGE_REPORT,
        Action.GATE_CHECK,
        Action.DEPLOY_RECORD,
        Action.ROLLBACK_RECORD,
        Action.EMERGENCY_DECLARE,
        Action.FINDING_TAKE,
        Action.TOKEN_ISSUE,
    },
    # an administrator runs the installation and its accounts, and can neither sign nor change what the gates require
    Role.ADMINISTRATOR: _READS | {Action.REGISTRY_CHANGE, Action.USER_MANAGE, Action.ACCOUNT_ERASE, Action.TOKEN_ISSUE},
}


def held_by(user: User) -> frozenset[str]:
    """Every action that ``user`` may do now, in the way in which they came (session or token)."""
    if not user.is_active:
        return frozenset()
    if user.is_service:
        held = frozenset(user.scopes) - PERSONAL
    else:
        roles = (Role(role) for role in user.roles if role in Role.values)
        held = frozenset(str(action) for role in roles for action in RULES[role])
    if user.token_scopes is not None:
        held = held & user.token_scopes - PERSONAL
    return held


def held_by_roles(roles: Iterable[str], action: Action) -> bool:
    """Whether one of the roles may do ``action``: for who acts as a value, without an account at hand."""
    return any(action in RULES[Role(role)] for role in roles if role in Role.values)


def roles_for(action: str) -> list[Role]:
    """The roles that may do ``action``, in the order of the table."""
    return [role for role, actions in RULES.items() if action in actions]


def refusal_of(action: str, *, doing: str = "") -> str:
    """Why ``action`` is refused and who has the right, in one sentence; ``doing`` names it where one right covers more.

    Raises ValueError when ``action`` is not a word of ``Action``.
    """
    known = Action(action)
    roles = get_text_list([str(role.label) for role in roles_for(known)], _("or"))
    if known in PERSONAL:
        return _("%(doing)s needs the role %(roles)s, and a person who signed in: a token cannot do it.") % {
            "doing": doing or DOING[known],
            "roles": roles,
        }
    return _("%(doing)s needs the role %(roles)s, or a token with the scope %(scope)s.") % {
        "doing": doing or DOING[known],
        "roles": roles,
        "scope": str(known),
    }


def require(user: User, action: str) -> None:
    """Raises NotPermitted, with the sentence of ``refusal_of``, unless ``user`` may do ``action``."""
    if not user.has_perm(action):
        raise NotPermitted(refusal_of(action), code=f"access.{Action(action)}")


class RulesBackend(BaseBackend):
    """Signs people in by password and answers ``has_perm`` from the table."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_kwargs: Any
    ) -> User | None:
        """The active person with this name and password, else None. Service accounts never sign in."""
        if username is None or password is None:
            return None
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            User().set_password(password)  # as slow as a real comparison, so that names cannot be told by time
            return None
        matches = user.check_password(password)
        return user if matches and user.is_active and not user.is_service else None

    def get_user(self, user_id: int) -> User | None:
        found: User | None = User.objects.active().filter(pk=user_id).first()
        return found

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Whether the account may do ``perm``. Rules about one object live with that object's concept module."""
        return isinstance(user_obj, User) and perm in held_by(user_obj)

    def explain_refusal(self, action: str) -> str:
        """``refusal_of``, for apps that must not import this module (see ``User.require``)."""
        return refusal_of(action)


@register("access")
def check_rule_table(**_kwargs: Any) -> list[CheckMessage]:
    """The table covers every role, names only known actions, and leaves no action that nobody may do."""
    problems: list[CheckMessage] = []
    for role in Role:
        unknown = [action for action in RULES.get(role, frozenset()) if action not in Action.__members__.values()]
        if role not in RULES:
            problems.append(Error(f"The role {role} has no row in governance.access.RULES.", id="governance.E001"))
        if unknown:
            problems.append(Error(f"The role {role} names unknown actions: {unknown}.", id="governance.E002"))
    problems += [
        Error(f"{name} in governance.access.RULES is not a known role.", id="governance.E003")
        for name in RULES
        if name not in Role.values
    ]
    problems += [
        Error(f"Nobody may do {action}: no role of governance.access.RULES has it.", id="governance.E004")
        for action in Action
        if not roles_for(action)
    ]
    if PERSONAL & set(SCOPES):
        problems.append(Error("An action that needs a person is offered as a scope.", id="governance.E005"))
    return problems
