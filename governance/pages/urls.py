"""Governance's pages, mounted at /."""

from __future__ import annotations

from django.urls import path

from governance.pages import (
    account,
    accounts,
    decisions,
    drafts,
    incidents,
    login,
    overview,
    policies,
    promotion,
    promotions,
    rollbacks,
    safeguards,
    transfers,
)

app_name = "governance"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("review", overview.review_queue, name="review_queue"),
    path("promotions", promotions.promotion_list, name="promotions"),
    path("promotions/new", promotions.request_promotion, name="request_promotion"),
    path("promotions/<int:number>", promotion.promotion, name="promotion"),
    path("promotions/<int:number>/sign", promotion.sign, name="sign"),
    path("promotions/<int:number>/withdraw", promotion.withdraw, name="withdraw"),
    path("rollbacks/<str:environment>/<str:model>", rollbacks.rollback, name="rollback"),
    path("policies", policies.policy_list, name="policies"),
    path("policies/new", drafts.draft_policy, name="draft_policy"),
    path("policies/<slug:slug>/<int:version>/backtest", drafts.try_policy, name="try_policy"),
    path("policies/<slug:slug>/<int:version>/activate", drafts.activate_policy, name="activate_policy"),
    path("backtests/<int:number>", drafts.backtest, name="backtest"),
    path("policies/<path:slug>", policies.policy, name="policy"),
    path("decisions/<str:public_id>", decisions.decision, name="decision"),
    path("decisions/<str:public_id>/replay", decisions.replay_decision, name="replay_decision"),
    path("transfers", transfers.transfer_list, name="transfers"),
    path("transfers/new", safeguards.record_transfer, name="record_transfer"),
    path("transfers/<slug:reference>", transfers.transfer, name="transfer"),
    path("transfers/<slug:reference>/approve", transfers.approve_transfer, name="approve_transfer"),
    path("transfers/<slug:reference>/halt/take", transfers.take_halt, name="take_halt"),
    path("transfers/<slug:reference>/halt/done", transfers.finish_halt, name="finish_halt"),
    path("transfers/<slug:reference>/revoke", transfers.revoke_transfer, name="revoke_transfer"),
    path("incidents", incidents.incident_list, name="incidents"),
    path("incidents/<str:reference>", incidents.incident, name="incident"),
    path("incidents/<str:reference>/freeze", incidents.freeze, name="freeze_incident"),
    path("incidents/<str:reference>/lift", incidents.lift, name="lift_incident"),
    path("incidents/<str:reference>/close", incidents.close, name="close_incident"),
    path("blast-radius", incidents.blast_radius, name="blast_radius"),
    path("blast-radius.csv", incidents.blast_file, {"kind": "csv"}, name="blast_csv"),
    path("blast-radius.xlsx", incidents.blast_file, {"kind": "xlsx"}, name="blast_xlsx"),
    path("login", login.login, name="login"),
    path("logout", login.logout, name="logout"),
    path("accounts", accounts.account_list, name="accounts"),
    path("accounts/<uuid:uuid>", accounts.account_detail, name="account_detail"),
    path("account", account.account, name="account"),
    path("account/tokens", account.issue_token, name="issue_token"),
    path("account/tokens/<uuid:uuid>/revoke", account.revoke_token, name="revoke_token"),
    path("account/password", account.change_password, name="change_password"),
]
