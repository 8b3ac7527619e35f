"""People and service accounts."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import auth
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import PermissionDenied
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.actors import Actor
from audit.models.governed import Governed
from audit.refusals import NotPermitted
from governance.models.roles import SCOPES, Role

#: Lower case only, so that two accounts can never differ by case alone.
USERNAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> UserQuerySet:
        return self.filter(is_active=True)

    def people(self) -> UserQuerySet:
        return self.filter(kind=User.Kind.PERSON)

    def holding(self, role: str) -> UserQuerySet:
        """Active people who hold ``role``: who can supply a missing sign-off."""
        return self.active().people().filter(roles__contains=[role])


class UserManager(models.Manager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    """No ``create_user`` here: accounts are made by ``governance.accounts.create_user``, which records them."""

    def get_by_natural_key(self, username: str) -> User:
        found: User = self.get(username=username.lower())
        return found


class User(AbstractBaseUser, Governed):
    """An account. ``uuid`` is its pseudonymous identity in the log and is never reused.

    A person holds ``roles``; a service account holds ``scopes`` (the most that any token of it may carry).
    """

    class Kind(models.TextChoices):
        PERSON = "person", gettext_lazy("person")
        SERVICE = "service", gettext_lazy("service account")

    #: No such column: a write at each sign-in would be a governed change. The log knows when somebody signed in.
    last_login = None

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = models.CharField(max_length=63, unique=True, validators=[RegexValidator(USERNAME_PATTERN)])
    display_name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PERSON)
    roles = ArrayField(models.CharField(max_length=30, choices=Role.choices), default=list, blank=True)
    scopes = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    #: From then on the row holds nothing of the person; ``governance.erasure`` says what becomes of the log.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["display_name"]

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        db_table = "governance_user"
        ordering = ("username",)
        constraints = (
            models.CheckConstraint(name="user_kind_known", condition=Q(kind__in=["person", "service"])),
            models.CheckConstraint(name="user_username_form", condition=Q(username__regex=USERNAME_PATTERN)),
            models.CheckConstraint(name="user_roles_known", condition=Q(roles__contained_by=list(Role.values))),
            # promotion.sign is not among SCOPES: that no machine signs is a rule of the database as well
            models.CheckConstraint(
                name="user_scopes_known", condition=Q(scopes__contained_by=[str(scope) for scope in SCOPES])
            ),
            models.CheckConstraint(
                name="user_roles_or_scopes", condition=Q(kind="person", scopes=[]) | Q(kind="service", roles=[])
            ),
            models.CheckConstraint(
                name="user_erased_may_nothing", condition=Q(erased_at=None) | Q(is_active=False, roles=[], scopes=[])
            ),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The scopes of the API token with which this request came; None when the person signed in themselves.
        self.token_scopes: frozenset[str] | None = None

    def __str__(self) -> str:
        return self.display_name

    @property
    def subject(self) -> str:
        return f"user:{self.uuid}"

    @property
    def actor(self) -> Actor:
        prefix = "service" if self.kind == self.Kind.SERVICE else "user"
        return Actor(id=f"{prefix}:{self.uuid}", name=self.display_name, roles=frozenset(self.roles))

    @property
    def is_service(self) -> bool:
        return self.kind == self.Kind.SERVICE

    def get_full_name(self) -> str:
        return self.display_name

    def get_short_name(self) -> str:
        return self.display_name.partition(" ")[0]

    def check_password(self, raw_password: str) -> bool:  # type: ignore[override]
        """Compare without Django's silent rewrite of an outdated hash: that write would have no entry.

        ``governance.sessions.sign_in`` renews the hash and records it.
        """
        return check_password(raw_password, self.password)

    async def acheck_password(self, raw_password: str) -> bool:  # type: ignore[override]
        return self.check_password(raw_password)

    def has_perm(self, action: str, obj: models.Model | None = None) -> bool:
        """Whether this account may do ``action`` (a word of ``governance.models.roles.Action``)."""
        for backend in auth.get_backends():
            if not hasattr(backend, "has_perm"):
                continue
            try:
                if backend.has_perm(self, action, obj):
                    return True
            except PermissionDenied:
                return False
        return False

    def require(self, action: str) -> None:
        """Raises NotPermitted, with a sentence that says who may do it, unless this account may do ``action``."""
        if self.has_perm(action):
            return
        for backend in auth.get_backends():
            if hasattr(backend, "explain_refusal"):
                raise NotPermitted(backend.explain_refusal(action), code=f"access.{action}")
        raise NotPermitted(_("Your account may not do this."), code=f"access.{action}")

    def has_perms(self, actions: list[str], obj: models.Model | None = None) -> bool:
        return all(self.has_perm(action, obj) for action in actions)
