"""The pages of the sidebar, as data: what they are called, where they are and which other pages belong to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Page:
    """One line of the sidebar. ``covers`` are further view names during which it is marked as the current one."""

    view: str
    icon: str
    label: Promise
    covers: tuple[str, ...] = ()
    counts_reviews: bool = False

    @property
    def url(self) -> str:
        """Its address; empty when the page is not mounted."""
        try:
            return reverse(self.view)
        except NoReverseMatch:
            return ""

    def is_current(self, view_name: str) -> bool:
        """Whether this line stands for the page that is shown."""
        return view_name == self.view or view_name in self.covers


@dataclass(frozen=True, slots=True)
class Group:
    """A titled part of the sidebar; the first has no title."""

    label: Promise | str
    pages: tuple[Page, ...]


GROUPS: tuple[Group, ...] = (
    Group("", (Page("governance:overview", "layout-dashboard", _("Overview")),)),
    Group(
        _("Govern"),
        (
            Page("governance:review_queue", "inbox", _("Review queue"), counts_reviews=True),
            Page(
                "governance:promotions",
                "arrow-up-from-line",
                _("Promotions"),
                ("governance:promotion", "governance:request_promotion", "governance:decision"),
            ),
            Page("governance:policies", "scroll-text", _("Policies"), ("governance:policy",)),
            Page(
                "governance:transfers",
                "arrow-left-right",
                _("Transfers"),
                ("governance:transfer", "governance:record_transfer"),
            ),
            Page(
                "governance:waivers",
                "circle-slash",
                _("Waivers"),
                ("governance:waiver", "governance:propose_waiver"),
            ),
            Page("governance:delegations", "user-check", _("Delegations")),
            Page(
                "governance:emergencies",
                "siren",
                _("Emergencies"),
                ("governance:emergency", "governance:declare_emergency"),
            ),
            Page("governance:residency", "map", _("Residency")),
            Page(
                "governance:evidence",
                "file-check",
                _("Evidence"),
                (
                    "governance:evidence_detail",
                    "governance:record_evidence",
                    "governance:evidence_keys",
                    "governance:evidence_key",
                    "governance:propose_evidence_key",
                ),
            ),
        ),
    ),
    Group(
        _("Registry"),
        (
            Page(
                "registry:models",
                "box",
                _("Models"),
                (
                    "registry:model",
                    "registry:model_card",
                    "registry:model_change",
                    "registry:version",
                    "registry:version_diff",
                ),
            ),
            Page("registry:datasets", "database", _("Data sets"), ("registry:dataset", "registry:dataset_change")),
            Page("registry:lineage", "workflow", _("Lineage")),
            Page(
                "registry:environments",
                "server",
                _("Environments"),
                ("registry:environment", "registry:environment_register", "registry:environment_change"),
            ),
            Page("registry:deployments", "rocket", _("Deployments"), ("registry:deployment",)),
            Page(
                "governance:incidents",
                "siren",
                _("Incidents"),
                ("governance:incident", "governance:blast_radius"),
            ),
            Page("registry:reconciler", "search-alert", _("Reconciler"), ("registry:finding",)),
            Page("registry:sources", "plug", _("Sources")),
        ),
    ),
    Group(
        _("Explain"),
        (
            Page(
                "explain:explanations",
                "chart-bar",
                _("Explanations"),
                ("explain:explanation", "explain:request", "explain:compare", "explain:erase"),
            ),
        ),
    ),
    Group(
        _("Audit"),
        (
            Page("audit:log", "list-tree", _("Log"), ("audit:entry",)),
            Page("audit:verify", "badge-check", _("Verify"), ("audit:verify_bundle",)),
            Page("audit:exports", "package", _("Exports"), ("audit:export",)),
        ),
    ),
)


def pages() -> Iterable[tuple[Group, Page]]:
    """Every page with its group, in the order of the sidebar."""
    for group in GROUPS:
        for page in group.pages:
            yield group, page
