"""The pages that the browser tests walk: name, address and whose eyes.

Words in braces are filled from the world of ``tests/browser/world.py``. A page that is added to the product is added
here; ``test_every_page_is_walked`` says when one was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.browser.world import World


@dataclass(frozen=True, slots=True)
class Page:
    """``status`` is what the server must answer; ``view`` the URL name that it covers."""

    name: str
    path: str
    view: str
    username: str = "layla"
    status: int = 200

    def at(self, world: World) -> str:
        """The path in this world."""
        return self.path.format(
            promotion=world.promotions[0] if world.promotions else 0,
            explanation=world.explanations[0] if world.explanations else 0,
            waiting=world.explanations[-1] if world.explanations else 0,
            decision=world.decisions[0] if world.decisions else "",
            tried=world.backtests[0] if world.backtests else 0,
            untried=world.backtests[-1] if world.backtests else 0,
            account=world.account,
            frozen=world.incidents[0] if world.incidents else "",
            opened=world.incidents[-1] if world.incidents else "",
            deployment=world.deployment,
            finding=world.findings[0] if world.findings else 0,
            export=world.exports[0] if world.exports else 0,
            failed=world.exports[1] if world.exports else 0,
            requested=world.exports[-1] if world.exports else 0,
            moment=f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}",
        )


PAGES = (
    Page("overview", "/", "governance:overview"),
    Page("overview-auditor", "/", "governance:overview", "noor"),
    Page("review-queue", "/review", "governance:review_queue", "omar"),
    Page("promotions", "/promotions", "governance:promotions"),
    Page("promotion-reviewer", "/promotions/{promotion}", "governance:promotion", "omar"),
    Page("promotion-requester", "/promotions/{promotion}", "governance:promotion", "yusuf"),
    Page("promotion-auditor", "/promotions/{promotion}", "governance:promotion", "noor"),
    Page("promotion-request", "/promotions/new", "governance:request_promotion", "yusuf"),
    Page("policies", "/policies", "governance:policies", "omar"),
    Page("policy", "/policies/ksa-pdpl", "governance:policy", "omar"),
    Page("policy-draft", "/policies/two-person-production/2", "governance:policy", "dana"),
    Page("policy-write", "/policies/new?from=uae-pdpl", "governance:draft_policy", "omar"),
    Page("backtest", "/backtests/{tried}", "governance:backtest", "omar"),
    Page("backtest-waiting", "/backtests/{untried}", "governance:backtest", "noor"),
    Page("decision", "/decisions/{decision}", "governance:decision"),
    Page("account", "/account", "governance:account"),
    Page("accounts", "/accounts", "governance:accounts", "dana"),
    Page("account-of-another", "/accounts/{account}", "governance:account_detail", "dana"),
    Page("models", "/models", "registry:models"),
    Page("model", "/models/credit-scoring", "registry:model"),
    Page("version", "/models/credit-scoring/2", "registry:version"),
    Page("version-frozen", "/models/credit-scoring/1", "registry:version"),
    Page("models-filtered", "/models?q=credit&state=serving", "registry:models"),
    Page("models-nothing-matches", "/models?q=zzzz", "registry:models"),
    Page("model-auditor", "/models/credit-scoring", "registry:model", "noor"),
    Page("model-card", "/models/credit-scoring/card", "registry:model_card"),
    Page("model-change", "/models/credit-scoring/change", "registry:model_change", "yusuf"),
    Page("version-diff", "/models/credit-scoring/2/diff", "registry:version_diff"),
    Page("datasets", "/datasets", "registry:datasets"),
    Page("datasets-wrong-filters", "/datasets?region=me-central-1", "registry:datasets", "dana", 400),
    Page("dataset", "/datasets/loans-2026q3", "registry:dataset", "dana"),
    Page("sources", "/sources", "registry:sources"),
    Page("dataset-confirm", "/datasets/loans-2026q3/change", "registry:dataset_change", "dana"),
    Page("dataset-change", "/datasets/loans-2026q3/change", "registry:dataset_change", "yusuf"),
    Page("lineage", "/lineage?focus=version:credit-scoring/2&depth=2", "registry:lineage"),
    Page("environments", "/environments", "registry:environments", "sami"),
    Page("environment", "/environments/prod-uae", "registry:environment", "sami"),
    Page("deployments", "/deployments", "registry:deployments", "sami"),
    Page("run", "/runs/run-412", "registry:run"),
    Page("deployment", "/deployments/{deployment}", "registry:deployment", "sami"),
    Page("reconciler", "/reconciler", "registry:reconciler", "sami"),
    Page("reconciler-wrong-filters", "/reconciler?state=lost", "registry:reconciler", "noor", 400),
    Page("reconciler-auditor", "/reconciler?show=gone", "registry:reconciler", "noor"),
    Page("finding", "/reconciler/findings/{finding}", "registry:finding", "omar"),
    Page("finding-auditor", "/reconciler/findings/{finding}", "registry:finding", "noor"),
    Page("explanations", "/explanations", "explain:explanations", "yusuf"),
    Page("explanation-request", "/explanations/new?version=version:credit-scoring/1", "explain:request", "yusuf"),
    Page("explanation", "/explanations/{explanation}", "explain:explanation", "yusuf"),
    Page("explanation-waiting", "/explanations/{waiting}", "explain:explanation", "yusuf"),
    Page("transfers", "/transfers", "governance:transfers", "dana"),
    Page("transfer-proposed", "/transfers/TS-proposed", "governance:transfer", "omar"),
    Page("transfer", "/transfers/TS-active", "governance:transfer", "noor"),
    Page("transfer-record", "/transfers/new", "governance:record_transfer", "dana"),
    Page("rollback", "/rollbacks/prod-uae/credit-scoring", "governance:rollback"),
    Page("incidents", "/incidents", "governance:incidents", "omar"),
    Page("incidents-filtered", "/incidents?state=frozen&about=version", "governance:incidents", "omar"),
    Page("incidents-nothing-matches", "/incidents?q=zzzz", "governance:incidents", "noor"),
    Page("incidents-reader", "/incidents", "governance:incidents", "noor"),
    Page("incident-frozen", "/incidents/{frozen}", "governance:incident", "dana"),
    Page("incident-open", "/incidents/{opened}", "governance:incident", "omar"),
    Page("blast-radius", "/blast-radius?subject=dataset:loans-2026q3", "governance:blast_radius", "dana"),
    Page("blast-radius-of-nothing", "/blast-radius?subject=dataset:none", "governance:blast_radius", "dana", 404),
    Page("blast-radius-unasked", "/blast-radius", "governance:blast_radius", "dana"),
    Page("log", "/log", "audit:log", "noor"),
    Page("entry", "/log/0", "audit:entry", "noor"),
    Page("verify", "/verify", "audit:verify", "noor"),
    Page("verify-officer", "/verify", "audit:verify", "omar"),
    Page("log-filtered", "/log?model=credit-scoring&event=promotion.*&count=exact", "audit:log", "noor"),
    Page("log-nothing-matches", "/log?subject=nothing:*", "audit:log", "noor"),
    Page("log-wrong-filters", "/log?since=2026-02-02&until=2026-02-01", "audit:log", "noor", 400),
    Page("log-as-of", "/log?as_of={moment}", "audit:log", "noor"),
    Page("exports", "/audit/exports", "audit:exports", "noor"),
    Page("export", "/audit/exports/{export}", "audit:export", "noor"),
    Page("export-failed", "/audit/exports/{failed}", "audit:export", "noor"),
    Page("export-requested", "/audit/exports/{requested}", "audit:export", "noor"),
    Page("overview-as-of", "/?as_of={moment}", "governance:overview", "noor"),
    Page("policies-as-of", "/policies?as_of={moment}", "governance:policies", "noor"),
    Page("policy-as-of", "/policies/ksa-pdpl?as_of={moment}", "governance:policy", "noor"),
    Page("model-as-of", "/models/credit-scoring?as_of={moment}", "registry:model", "noor"),
    Page("environment-as-of", "/environments/prod-uae?as_of={moment}", "registry:environment", "noor"),
    Page("deployments-as-of", "/deployments?as_of={moment}", "registry:deployments", "noor"),
    Page("before-the-log", "/?as_of=2001-01-01T00:00:00Z", "", "noor", 422),
    Page("no-moment", "/?as_of=yesterday", "", "noor", 400),
    Page("find", "/find?q=credit", "config:find"),
    Page("find-nothing", "/find?q=zzzz", "config:find"),
    Page("not-found", "/no/such/page", "", status=404),
    Page("unknown-model", "/models/unknown", "", status=404),
)

#: Named addresses that are no page of their own: they change something, answer data or need no walk.
NOT_PAGES = {
    "audit:checkpoint",
    "audit:checkpoint_of",
    "audit:csv",
    "audit:entry_bundle",
    "audit:entry_bundle_of",
    "audit:export_file",
    "audit:hash_tile",
    "audit:hash_tile_of",
    "audit:proof",
    "audit:verify_bundle",  # walked in test_verify.py
    "audit:vkey",
    "audit:vkey_of",
    "audit:xlsx",
    "config:language",
    "config:theme",
    "explain:cancel",
    "explain:receipt",
    "governance:activate_policy",
    "governance:approve_transfer",
    "governance:blast_csv",
    "governance:blast_xlsx",
    "governance:change_password",
    "governance:close_incident",
    "governance:finish_halt",
    "governance:freeze_incident",
    "governance:issue_token",
    "governance:lift_incident",
    "governance:login",  # walked without a session in test_shell.py
    "governance:logout",
    "governance:replay_decision",
    "governance:revoke_token",
    "governance:revoke_transfer",
    "governance:sign",
    "governance:take_halt",
    "governance:try_policy",
    "governance:withdraw",
    "registry:close_finding",
    "registry:import_now",
    "registry:mlflow_webhook",
    "registry:run_reconciler",
    "registry:take_finding",
    "registry:datasets_csv",
    "registry:datasets_xlsx",
    "registry:deployments_csv",
    "registry:deployments_xlsx",
    "registry:environments_csv",
    "registry:environments_xlsx",
    "registry:findings_csv",
    "registry:findings_xlsx",
    "registry:incidents_csv",
    "registry:incidents_xlsx",
    "registry:model_card_markdown",
    "registry:models_csv",
    "registry:models_xlsx",
    "registry:version_bom",
}
