"""The closed lists of roles and actions. Which role may do what is the table in ``governance.access``."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person is in the organisation. A person may hold several."""

    ML_LEAD = "ml_lead", _("ML lead")
    COMPLIANCE_OFFICER = "compliance_officer", _("compliance officer")
    DPO = "dpo", _("data-protection officer")
    AUDITOR = "auditor", _("auditor")
    DATA_SCIENTIST = "data_scientist", _("data scientist")
    OPERATOR = "operator", _("operator")
    ADMINISTRATOR = "administrator", _("administrator")


class Action(StrEnum):
    """Everything that access is decided for. The same words are the scopes of tokens."""

    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"
    REGISTRY_READ = "registry.read"
    REGISTRY_CHANGE = "registry.change"
    LINEAGE_REPORT = "lineage.report"
    FINDING_TAKE = "finding.take"
    FINDING_CLOSE = "finding.close"
    DATASET_CONFIRM = "dataset.confirm"
    EXPLAIN_READ = "explain.read"
    EXPLAIN_REQUEST = "explain.request"
    PROMOTION_READ = "promotion.read"
    PROMOTION_REQUEST = "promotion.request"
    PROMOTION_SIGN = "promotion.sign"
    PROMOTION_WITHDRAW = "promotion.withdraw"
    GATE_CHECK = "gate.check"
    DEPLOY_RECORD = "deploy.record"
    ROLLBACK_RECORD = "rollback.record"
    POLICY_CHANGE = "policy.change"
    POLICY_ACTIVATE = "policy.activate"
    TRANSFER_CHANGE = "transfer.change"
    WAIVER_CHANGE = "waiver.change"
    WAIVER_APPROVE = "waiver.approve"
    EVIDENCE_CHANGE = "evidence.change"
    EMERGENCY_DECLARE = "emergency.declare"
    EMERGENCY_REVIEW = "emergency.review"
    INCIDENT_CHANGE = "incident.change"
    INCIDENT_LIFT = "incident.lift"
    USER_MANAGE = "user.manage"
    ACCOUNT_ERASE = "account.erase"
    TOKEN_ISSUE = "token.issue"


#: Actions that need a person who signed in: never a scope of a token, never of a service account.
PERSONAL: frozenset[Action] = frozenset(
    {
        Action.DATASET_CONFIRM,
        Action.PROMOTION_SIGN,
        Action.POLICY_ACTIVATE,
        Action.WAIVER_APPROVE,
        Action.EMERGENCY_DECLARE,
        Action.EMERGENCY_REVIEW,
        Action.INCIDENT_LIFT,
        Action.USER_MANAGE,
        Action.ACCOUNT_ERASE,
        Action.TOKEN_ISSUE,
    }
)

#: Actions that a token or a service account may hold as scopes.
SCOPES: tuple[Action, ...] = tuple(action for action in Action if action not in PERSONAL)

#: The action as the subject of a sentence: «Recording a deployment needs the role operator.»
DOING: dict[Action, Promise] = {
    Action.AUDIT_READ: _("Reading the log"),
    Action.AUDIT_EXPORT: _("Exporting the log"),
    Action.REGISTRY_READ: _("Reading the registry"),
    Action.REGISTRY_CHANGE: _("Changing the registry"),
    Action.LINEAGE_REPORT: _("Reporting lineage"),
    Action.FINDING_TAKE: _("Looking for findings and taking them"),
    Action.FINDING_CLOSE: _("Closing a finding"),
    Action.DATASET_CONFIRM: _("Confirming facts of a data set"),
    Action.EXPLAIN_READ: _("Reading explanations"),
    Action.EXPLAIN_REQUEST: _("Requesting an explanation"),
    Action.PROMOTION_READ: _("Reading promotions"),
    Action.PROMOTION_REQUEST: _("Requesting a promotion"),
    Action.PROMOTION_SIGN: _("Signing a promotion"),
    Action.PROMOTION_WITHDRAW: _("Withdrawing a promotion"),
    Action.GATE_CHECK: _("Asking the gate"),
    Action.DEPLOY_RECORD: _("Recording a deployment"),
    Action.ROLLBACK_RECORD: _("Recording a rollback"),
    Action.POLICY_CHANGE: _("Changing a policy"),
    Action.POLICY_ACTIVATE: _("Putting a policy in force"),
    Action.TRANSFER_CHANGE: _("Changing a transfer safeguard"),
    Action.WAIVER_CHANGE: _("Proposing or revoking a waiver"),
    Action.WAIVER_APPROVE: _("Approving a waiver"),
    Action.EVIDENCE_CHANGE: _("Recording and withdrawing evidence"),
    Action.EMERGENCY_DECLARE: _("Declaring, confirming or ending an emergency"),
    Action.EMERGENCY_REVIEW: _("Reviewing an emergency"),
    Action.INCIDENT_CHANGE: _("Opening and freezing an incident"),
    Action.INCIDENT_LIFT: _("Lifting a freeze"),
    Action.USER_MANAGE: _("Managing accounts"),
    Action.ACCOUNT_ERASE: _("Erasing a person"),
    Action.TOKEN_ISSUE: _("Issuing an API token"),
}
