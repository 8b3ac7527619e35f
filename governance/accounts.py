"""Accounts and their rights: every change is one entry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.log import append
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance.models.roles import SCOPES, Action, Role
from governance.models.user import USERNAME_PATTERN, User


def create_user(
    *,
    username: str,
    display_name: str,
    kind: str = User.Kind.PERSON,
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    password: str | None = None,
    by: Actor,
) -> User:
    """A new account. People may have a password and roles; service accounts have scopes and never a password.

    Raises BadInput (names, unknown or misplaced roles and scopes, weak password), Conflict (name taken), NotPermitted.
    """
    _may_manage(by)
    username = username.strip().lower()
    display_name = display_name.strip()
    if not re.fullmatch(USERNAME_PATTERN, username):
        raise BadInput(
            _("A username has 1 to 63 lower-case letters, digits, dots, dashes or underscores."),
            code="account.username",
            fields={"username": _("Use lower-case letters, digits, dots, dashes or underscores.")},
        )
    if not 1 <= len(display_name) <= 200 or "\x00" in display_name:
        raise BadInput(_("The display name needs 1 to 200 characters."), code="account.display_name")
    user = User(username=username, display_name=display_name, kind=_known_kind(kind))
    user.roles = _known(roles, Role.values, code="account.role")
    user.scopes = _known(scopes, [str(scope) for scope in SCOPES], code="account.scope")
    if user.is_service and (user.roles or password is not None):
        raise BadInput(_("A service account holds scopes, not roles, and has no password."), code="account.kind")
    if not user.is_service and user.scopes:
        raise BadInput(_("A person holds roles; scopes belong to service accounts and tokens."), code="account.kind")
    if password is None:
        user.set_unusable_password()
    else:
        _strong_enough(password, user)
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            append(
                Event.USER_CREATED,
                user,
                facts={"kind": str(user.kind), "roles": user.roles, "scopes": user.scopes},
                private={"username": username, "display_name": display_name},
                by=by,
            )
    except IntegrityError as error:
        if User.objects.filter(username=username).exists():
            raise Conflict(_("The username %s is taken.") % username, code="account.username_taken") from error
        raise
    return user


def set_password(user: User, password: str, *, by: Actor) -> User:
    """Give a person a new password; all their sessions end.

    Raises BadInput (weak password, service account), NotPermitted (neither the person nor an administrator).
    """
    if by.id != user.actor.id:
        _may_manage(by)
    with transaction.atomic():
        account = _locked(user)
        if account.is_service:
            raise BadInput(_("A service account has no password; issue a token for it."), code="account.kind")
        _strong_enough(password, account)
        account.set_password(password)
        account.save(update_fields=["password"])
        append(Event.PASSWORD_CHANGED, account, facts={"by_owner": by.id == account.actor.id}, by=by)
    return account


def renew_hash(user: User, password: str) -> User:
    """Store the same password under today's hash parameters; called at sign-in, when it has just been proved.

    Raises nothing when another sign-in renewed it meanwhile: the row is read again under its lock.
    """
    with transaction.atomic():
        account = _locked(user)
        if account.check_password(password):
            account.set_password(password)
            account.save(update_fields=["password"])
            append(Event.PASSWORD_CHANGED, account, facts={"hash_renewed": True}, by=account.actor)
    return account


def grant_role(user: User, role: str, *, reason: str = "", by: Actor) -> User:
    """Raises BadInput (unknown role), Conflict (held already), NotPermitted (own account, or no administrator)."""
    return _change_role(user, role, grant=True, reason=reason, by=by)


def revoke_role(user: User, role: str, *, reason: str = "", by: Actor) -> User:
    """Raises BadInput (unknown role), Conflict (not held, or the last administrator), NotPermitted."""
    return _change_role(user, role, grant=False, reason=reason, by=by)


def deactivate(user: User, *, reason: str = "", by: Actor) -> User:
    """End an account: it can no longer sign in, its sessions and tokens stop at once, its past stays attributed.

    Raises Conflict (already inactive, or the last administrator), NotPermitted.
    """
    _may_manage(by)
    with transaction.atomic():
        account = _locked(user)
        if not account.is_active:
            raise Conflict(_("The account %s is inactive already.") % account.username, code="account.inactive")
        _keep_an_administrator(account)
        account.is_active = False
        account.save(update_fields=["is_active"])
        facts = {"roles": account.roles, "before": {"is_active": True}, "after": {"is_active": False}}
        append(Event.USER_DEACTIVATED, account, facts=facts, reason=reason, by=by)
    return account


def _change_role(user: User, role: str, *, grant: bool, reason: str, by: Actor) -> User:
    _may_manage(by)
    if by.id == user.actor.id:
        raise NotPermitted(_("Nobody changes their own roles; ask another administrator."), code="account.own_role")
    (role,) = _known([role], Role.values, code="account.role")
    with transaction.atomic():
        account = _locked(user)
        if account.is_service:
            raise BadInput(_("A service account holds scopes, not roles."), code="account.kind")
        if grant == (role in account.roles):
            sentence = _("%(name)s holds the role %(role)s already.") if grant else _("%(name)s has no role %(role)s.")
            raise Conflict(sentence % {"name": account.username, "role": Role(role).label}, code="account.role_state")
        if not grant and role == Role.ADMINISTRATOR:
            _keep_an_administrator(account)
        held = list(account.roles)
        account.roles = sorted({*account.roles, role}) if grant else [each for each in held if each != role]
        account.save(update_fields=["roles"])
        event = Event.ROLE_GRANTED if grant else Event.ROLE_REVOKED
        facts = {"role": role, "before": {"roles": held}, "after": {"roles": account.roles}}
        append(event, account, facts=facts, reason=reason, by=by)
    return account


def _may_manage(by: Actor) -> None:
    """Administrators, and processes that an operator of the machine started (commands, the demo story)."""
    if by.kind != "system" and Role.ADMINISTRATOR not in by.roles:
        raise NotPermitted(_("Managing accounts needs the role administrator."), code=f"access.{Action.USER_MANAGE}")


def _locked(user: User) -> User:
    found: User | None = User.objects.select_for_update().filter(pk=user.pk).first()
    if found is None:
        raise NotKnown(_("There is no such account."), code="account.unknown")
    if found.erased_at is not None:
        raise Conflict(_("This person was erased; nothing about the account can change."), code="account.erased")
    return found


def _keep_an_administrator(account: User) -> None:
    """Raises Conflict for the only active administrator. Locks them all, so that two cannot leave at once."""
    administrators = User.objects.holding(Role.ADMINISTRATOR).order_by("pk").select_for_update()
    if [administrator.pk for administrator in administrators] == [account.pk]:
        raise Conflict(
            _("%s is the last administrator; give somebody else the role first.") % account.username,
            code="account.last_administrator",
        )


def _known_kind(kind: str) -> str:
    if kind not in User.Kind.values:
        raise BadInput(_("The kind of an account is person or service, not %r.") % kind, code="account.kind")
    return kind


def _known(words: Iterable[str], known: Iterable[str], *, code: str) -> list[str]:
    """The words without doubles, sorted. Raises BadInput that names the unknown ones and lists the known."""
    asked, allowed = {str(word) for word in words}, sorted(str(word) for word in known)
    unknown = sorted(asked - set(allowed))
    if unknown:
        raise BadInput(
            _("Not known here: %(unknown)s. Possible: %(known)s.")
            % {"unknown": ", ".join(unknown), "known": ", ".join(allowed)},
            code=code,
        )
    return sorted(asked)


def _strong_enough(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        sentence = " ".join(error.messages)
        raise BadInput(sentence, code="account.password", fields={"password": sentence}) from error
