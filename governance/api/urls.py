"""Governance under /api/v1/."""

from __future__ import annotations

from django.urls import path

from governance.api import accounts, decisions, gate, incidents, past, policies, promotions, rollouts, transfers

app_name = "governance-api"

urlpatterns = [
    path("accounts/<uuid:uuid>/erasure", accounts.AccountErasure.as_view(), name="account_erasure"),
    path("gate/checks", gate.GateChecks.as_view(), name="gate_checks"),
    path("decisions/<str:public_id>", decisions.DecisionDetail.as_view(), name="decision"),
    path("decisions/<str:public_id>/replay", decisions.DecisionReplay.as_view(), name="decision_replay"),
    path("promotions", promotions.PromotionList.as_view(), name="promotions"),
    path("promotions/<int:number>", promotions.PromotionDetail.as_view(), name="promotion"),
    path("promotions/<int:number>/signoffs", promotions.SignOffs.as_view(), name="signoffs"),
    path("promotions/<int:number>/withdraw", promotions.Withdraw.as_view(), name="withdraw"),
    path("policies", policies.Policies.as_view(), name="policies"),
    path("policies/lint", policies.Lint.as_view(), name="policy_lint"),
    path("policies/<slug:slug>", past.Policy.as_view(), name="policy"),
    path("policies/<slug:slug>/<int:version>/backtests", policies.Backtests.as_view(), name="policy_backtests"),
    path("policies/<slug:slug>/<int:version>/activate", policies.Activation.as_view(), name="policy_activation"),
    path("backtests/<int:number>", policies.BacktestDetail.as_view(), name="backtest"),
    path("overview", past.Overview.as_view(), name="overview"),
    path("deployments", rollouts.Deployments.as_view(), name="deployments"),
    path("rollbacks", rollouts.Rollbacks.as_view(), name="rollbacks"),
    path("incidents", incidents.Incidents.as_view(), name="incidents"),
    path("incidents/<str:reference>", incidents.IncidentDetail.as_view(), name="incident"),
    path("incidents/<str:reference>/freeze", incidents.Freeze.as_view(), name="incident_freeze"),
    path("incidents/<str:reference>/lift", incidents.Lift.as_view(), name="incident_lift"),
    path("incidents/<str:reference>/close", incidents.Close.as_view(), name="incident_close"),
    path("blast-radius", incidents.BlastRadiusView.as_view(), name="blast_radius"),
    path("blast-radius.csv", incidents.BlastRadiusTable.as_view(), name="blast_radius_csv"),
    path("blast-radius.xlsx", incidents.BlastRadiusBook.as_view(), name="blast_radius_xlsx"),
    path("transfers", transfers.Transfers.as_view(), name="transfers"),
    path("transfer-halts", transfers.TransferHalts.as_view(), name="transfer_halts"),
    path("transfer-halts/<slug:reference>/take", transfers.TransferHaltTaking.as_view(), name="transfer_halt_taking"),
    path("transfer-halts/<slug:reference>/done", transfers.TransferHaltDone.as_view(), name="transfer_halt_done"),
    path("transfers/<slug:reference>", transfers.TransferDetail.as_view(), name="transfer"),
    path("transfers/<slug:reference>/reliance", transfers.TransferReliance.as_view(), name="transfer_reliance"),
    path("transfers/<slug:reference>/revoke", transfers.TransferRevocation.as_view(), name="transfer_revocation"),
    path("transfers/<slug:reference>/approve", transfers.TransferApproval.as_view(), name="transfer_approval"),
]
