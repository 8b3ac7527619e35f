"""Everything that can be recorded: a closed list, each with the sentence that a person reads."""

from __future__ import annotations

from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Event(StrEnum):
    """``<subject>.<what happened>``. An entry cannot be appended with any other word."""

    # audit
    LOG_OPENED = "log.opened"
    LOG_CLOSING = "log.closing"
    LOG_CLOSED = "log.closed"
    LOG_REPLAYED = "log.replayed"
    LOG_DETACHED = "log.detached"
    KEY_ANNOUNCED = "key.announced"
    KEY_ROTATED = "key.rotated"
    KEY_RETIRED = "key.retired"
    ALERT_RAISED = "alert.raised"
    ALERT_RESOLVED = "alert.resolved"
    SUBJECT_ERASED = "subject.erased"
    EXPORT_REQUESTED = "export.requested"
    EXPORT_FINISHED = "export.finished"
    EXPORT_FAILED = "export.failed"
    STORY_SEEDED = "story.seeded"
    STORY_WIPED = "story.wiped"
    # people and access
    USER_CREATED = "user.created"
    USER_DEACTIVATED = "user.deactivated"
    USER_ERASED = "user.erased"
    USER_ERASURE_REFUSED = "user.erasure_refused"
    CONTRIBUTOR_ERASED = "contributor.erased"
    TEXT_ERASED = "text.erased"
    PASSWORD_CHANGED = "user.password_changed"
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    FACTOR_ENROLLED = "factor.enrolled"
    FACTOR_REMOVED = "factor.removed"
    FACTOR_REFUSED = "factor.refused"
    SESSION_OPENED = "session.opened"
    SESSION_REFUSED = "session.refused"
    SESSION_CLOSED = "session.closed"
    TOKEN_ISSUED = "token.issued"
    TOKEN_REVOKED = "token.revoked"
    # registry
    ENVIRONMENT_REGISTERED = "environment.registered"
    ENVIRONMENT_CHANGED = "environment.changed"
    ENDPOINT_REGISTERED = "endpoint.registered"
    ENDPOINT_CHANGED = "endpoint.changed"
    MODEL_REGISTERED = "model.registered"
    MODEL_CHANGED = "model.changed"
    VERSION_REGISTERED = "version.registered"
    ALIAS_MOVED = "alias.moved"
    DATASET_REGISTERED = "dataset.registered"
    DATASET_CHANGED = "dataset.changed"
    DATASET_CONFIRMED = "dataset.confirmed"
    RUN_REGISTERED = "run.registered"
    LINEAGE_RECORDED = "lineage.recorded"
    DEPLOYMENT_RECORDED = "deployment.recorded"
    DEPLOYMENT_ENDED = "deployment.ended"
    DEPLOYMENT_DESCRIBED = "deployment.described"
    ROLLBACK_RECORDED = "rollback.recorded"
    ROLLBACK_DRILLED = "rollback.drilled"
    OUT_OF_BAND_OBSERVED = "out_of_band.observed"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_FROZEN = "incident.frozen"
    INCIDENT_LIFTED = "incident.lifted"
    INCIDENT_CLOSED = "incident.closed"
    FINDING_OPENED = "finding.opened"
    FINDING_TAKEN = "finding.taken"
    FINDING_CLOSED = "finding.closed"
    FINDING_RESOLVED = "finding.resolved"
    MLFLOW_MIRRORED = "mlflow.mirrored"
    MLFLOW_REFUSED = "mlflow.refused"
    RECORD_REMOVED = "record.removed"
    # policies and decisions
    PACK_DRAFTED = "pack.drafted"
    PACK_SCHEDULED = "pack.scheduled"
    PACK_UNSCHEDULED = "pack.unscheduled"
    PACK_ACTIVATED = "pack.activated"
    PACK_RETIRED = "pack.retired"
    BACKTEST_REQUESTED = "pack.backtest_requested"
    BACKTEST_FINISHED = "pack.backtest_finished"
    BACKTEST_FAILED = "pack.backtest_failed"
    SAFEGUARD_RECORDED = "safeguard.recorded"
    SAFEGUARD_APPROVED = "safeguard.approved"
    SAFEGUARD_REVOKED = "safeguard.revoked"
    SAFEGUARD_ENDED = "safeguard.ended"
    HALT_OPENED = "halt.opened"
    HALT_TAKEN = "halt.taken"
    HALT_DONE = "halt.done"
    WAIVER_PROPOSED = "waiver.proposed"
    WAIVER_APPROVED = "waiver.approved"
    WAIVER_REVOKED = "waiver.revoked"
    WAIVER_REFUSED = "waiver.refused"
    WAIVER_ENDED = "waiver.ended"
    EMERGENCY_DECLARED = "emergency.declared"
    EMERGENCY_CONFIRMED = "emergency.confirmed"
    EMERGENCY_WITHDRAWN = "emergency.withdrawn"
    EMERGENCY_STOPPED = "emergency.stopped"
    EMERGENCY_REFUSED = "emergency.refused"
    EMERGENCY_ENDED = "emergency.ended"
    EMERGENCY_REVIEW_OPENED = "emergency.review_opened"
    EMERGENCY_RATIFIED = "emergency.ratified"
    EMERGENCY_NOT_RATIFIED = "emergency.not_ratified"
    EMERGENCY_LAPSED = "emergency.lapsed"
    EMERGENCY_REPLACED = "emergency.replaced"
    EVIDENCE_RECORDED = "evidence.recorded"
    EVIDENCE_WITHDRAWN = "evidence.withdrawn"
    EVIDENCE_KEY_PROPOSED = "evidence_key.proposed"
    EVIDENCE_KEY_CONFIRMED = "evidence_key.confirmed"
    EVIDENCE_KEY_WITHDRAWN = "evidence_key.withdrawn"
    EVIDENCE_KEY_REFUSED = "evidence_key.refused"
    DECISION_RECORDED = "decision.recorded"
    DECISION_CONTRADICTED = "decision.contradicted"
    # promotions
    PROMOTION_REQUESTED = "promotion.requested"
    PROMOTION_IN_REVIEW = "promotion.in_review"
    PROMOTION_BLOCKED = "promotion.blocked"
    PROMOTION_APPROVED = "promotion.approved"
    PROMOTION_REJECTED = "promotion.rejected"
    PROMOTION_WITHDRAWN = "promotion.withdrawn"
    PROMOTION_SUPERSEDED = "promotion.superseded"
    PROMOTION_EXPIRED = "promotion.expired"
    PROMOTION_DEPLOYED = "promotion.deployed"
    SIGNOFF_GIVEN = "signoff.given"
    SIGNOFF_KEYED = "signoff.keyed"
    SIGNOFF_REFUSED = "signoff.refused"
    SIGNOFF_REVOKED = "signoff.revoked"
    SIGNOFF_REOPENED = "signoff.reopened"
    DELEGATION_MADE = "delegation.made"
    DELEGATION_ENDED = "delegation.ended"
    DELEGATION_REFUSED = "delegation.refused"
    ROLLOUT_REPORTED = "rollout.reported"
    PERMIT_ISSUED = "permit.issued"
    PERMIT_CONSUMED = "permit.consumed"
    PERMIT_REFUSED = "permit.refused"
    PERMIT_LAPSED = "permit.lapsed"
    ATTESTATION_KEY_ANNOUNCED = "attestation_key.announced"
    ATTESTATION_KEY_RETIRED = "attestation_key.retired"
    # explanations
    EXPLANATION_REQUESTED = "explanation.requested"
    EXPLANATION_STARTED = "explanation.started"
    EXPLANATION_RESUMED = "explanation.resumed"
    EXPLANATION_FINISHED = "explanation.finished"
    EXPLANATION_FAILED = "explanation.failed"
    EXPLANATION_CANCELLED = "explanation.cancelled"
    EXPLANATION_PAUSED = "explanation.paused"
    EXPLANATION_CONTINUED = "explanation.continued"
    EXPLANATION_WAITING = "explanation.waiting"
    EXPLANATION_VERSION_CHANGED = "explanation.version_changed"
    EXPLANATION_PREPARED = "explanation.prepared"
    EXPLANATION_ERASED = "explanation.erased"
    ANALYSIS_REQUESTED = "analysis.requested"
    ANALYSIS_STARTED = "analysis.started"
    ANALYSIS_FINISHED = "analysis.finished"
    ANALYSIS_FAILED = "analysis.failed"


#: What a person reads after the actor's name: «Layla Haddad *signed off*».
SENTENCES: dict[Event, Promise] = {
    Event.LOG_OPENED: _("opened the log"),
    Event.LOG_CLOSING: _("ordered that the log be closed"),
    Event.LOG_CLOSED: _("closed the log"),
    Event.LOG_REPLAYED: _("put entries back that a restore had lost"),
    Event.LOG_DETACHED: _("moved a closed log out of the live tables"),
    Event.KEY_ANNOUNCED: _("announced a signing key of the log"),
    Event.KEY_ROTATED: _("gave the log new signing keys"),
    Event.KEY_RETIRED: _("retired signing keys of the log"),
    Event.ALERT_RAISED: _("raised an alert about the log"),
    Event.ALERT_RESOLVED: _("found the cause of an alert gone"),
    Event.SUBJECT_ERASED: _("erased private values from the log"),
    Event.EXPORT_REQUESTED: _("requested an export of the log"),
    Event.EXPORT_FINISHED: _("finished an export of the log"),
    Event.EXPORT_FAILED: _("could not finish an export of the log"),
    Event.STORY_SEEDED: _("seeded the demo story"),
    Event.STORY_WIPED: _("wiped the demo story"),
    Event.USER_CREATED: _("created an account"),
    Event.USER_DEACTIVATED: _("deactivated an account"),
    Event.USER_ERASED: _("erased an account"),
    Event.USER_ERASURE_REFUSED: _("was refused the erasure of an account"),
    Event.CONTRIBUTOR_ERASED: _("replaced a contributor's name by a pseudonym"),
    Event.TEXT_ERASED: _("erased a person's free text"),
    Event.PASSWORD_CHANGED: _("changed a password"),
    Event.ROLE_GRANTED: _("granted a role"),
    Event.ROLE_REVOKED: _("revoked a role"),
    Event.FACTOR_ENROLLED: _("enrolled a second factor"),
    Event.FACTOR_REMOVED: _("removed a second factor"),
    Event.FACTOR_REFUSED: _("was refused the removal of a second factor"),
    Event.SESSION_OPENED: _("signed in"),
    Event.SESSION_REFUSED: _("refused a wrong username or password"),
    Event.SESSION_CLOSED: _("signed out"),
    Event.TOKEN_ISSUED: _("issued an API token"),
    Event.TOKEN_REVOKED: _("revoked an API token"),
    Event.ENVIRONMENT_REGISTERED: _("registered an environment"),
    Event.ENVIRONMENT_CHANGED: _("changed an environment"),
    Event.ENDPOINT_REGISTERED: _("registered a serving endpoint"),
    Event.ENDPOINT_CHANGED: _("changed a serving endpoint"),
    Event.MODEL_REGISTERED: _("registered a model"),
    Event.MODEL_CHANGED: _("changed a model"),
    Event.VERSION_REGISTERED: _("registered a model version"),
    Event.ALIAS_MOVED: _("moved an alias"),
    Event.DATASET_REGISTERED: _("registered a data set"),
    Event.DATASET_CHANGED: _("changed a data set"),
    Event.DATASET_CONFIRMED: _("confirmed facts of a data set"),
    Event.RUN_REGISTERED: _("registered a training run"),
    Event.LINEAGE_RECORDED: _("recorded a lineage edge"),
    Event.DEPLOYMENT_RECORDED: _("recorded a deployment"),
    Event.DEPLOYMENT_ENDED: _("ended a deployment"),
    Event.DEPLOYMENT_DESCRIBED: _("recorded how a deployment went"),
    Event.ROLLBACK_RECORDED: _("recorded a rollback"),
    Event.ROLLBACK_DRILLED: _("recorded a rollback drill"),
    Event.OUT_OF_BAND_OBSERVED: _("observed a change outside the ledger"),
    Event.INCIDENT_OPENED: _("opened an incident"),
    Event.INCIDENT_FROZEN: _("froze what an incident reaches"),
    Event.INCIDENT_LIFTED: _("lifted the freeze of an incident"),
    Event.INCIDENT_CLOSED: _("closed an incident without a freeze"),
    Event.FINDING_OPENED: _("found a difference from the record"),
    Event.FINDING_TAKEN: _("took a finding"),
    Event.FINDING_CLOSED: _("closed a finding"),
    Event.FINDING_RESOLVED: _("found a difference gone"),
    Event.MLFLOW_MIRRORED: _("told MLflow of a recorded change"),
    Event.MLFLOW_REFUSED: _("could not tell MLflow of a recorded change"),
    Event.RECORD_REMOVED: _("removed a record"),
    Event.PACK_DRAFTED: _("drafted a policy pack"),
    Event.PACK_SCHEDULED: _("set the instant from which a policy pack is in force"),
    Event.PACK_UNSCHEDULED: _("took back the instant of a policy pack"),
    Event.PACK_ACTIVATED: _("activated a policy pack"),
    Event.PACK_RETIRED: _("retired a policy pack"),
    Event.BACKTEST_REQUESTED: _("asked for a back-test of a policy pack"),
    Event.BACKTEST_FINISHED: _("finished a back-test of a policy pack"),
    Event.BACKTEST_FAILED: _("could not finish a back-test of a policy pack"),
    Event.SAFEGUARD_RECORDED: _("recorded a transfer safeguard"),
    Event.SAFEGUARD_APPROVED: _("approved a transfer safeguard"),
    Event.SAFEGUARD_REVOKED: _("revoked a transfer safeguard"),
    Event.SAFEGUARD_ENDED: _("found a transfer safeguard ended and decided again what serves"),
    Event.HALT_OPENED: _("asked for a transfer to be halted and its recipients notified"),
    Event.HALT_TAKEN: _("took over halting a transfer"),
    Event.HALT_DONE: _("halted a transfer and notified its recipients"),
    Event.WAIVER_PROPOSED: _("proposed a waiver"),
    Event.WAIVER_APPROVED: _("approved a waiver"),
    Event.WAIVER_REVOKED: _("revoked a waiver"),
    Event.WAIVER_REFUSED: _("was refused the approval of a waiver"),
    Event.WAIVER_ENDED: _("found a waiver ended and decided again what serves"),
    Event.EMERGENCY_DECLARED: _("declared an emergency"),
    Event.EMERGENCY_CONFIRMED: _("confirmed an emergency: it goes without signatures for a time"),
    Event.EMERGENCY_WITHDRAWN: _("withdrew an emergency before it began"),
    Event.EMERGENCY_STOPPED: _("ended an emergency before its time"),
    Event.EMERGENCY_REFUSED: _("was refused a step of an emergency"),
    Event.EMERGENCY_ENDED: _("found the time of an emergency over"),
    Event.EMERGENCY_REVIEW_OPENED: _("opened the review of an emergency rollback"),
    Event.EMERGENCY_RATIFIED: _("reviewed an emergency and ratified it"),
    Event.EMERGENCY_NOT_RATIFIED: _("reviewed an emergency and did not ratify it: another version has to serve"),
    Event.EMERGENCY_LAPSED: _("found an emergency without its review in time: its model is held"),
    Event.EMERGENCY_REPLACED: _("found that the version of an emergency no longer serves"),
    Event.EVIDENCE_RECORDED: _("recorded evidence for a version"),
    Event.EVIDENCE_WITHDRAWN: _("withdrew evidence for a version"),
    Event.EVIDENCE_KEY_PROPOSED: _("proposed a key that may sign evidence"),
    Event.EVIDENCE_KEY_CONFIRMED: _("confirmed a key that may sign evidence"),
    Event.EVIDENCE_KEY_WITHDRAWN: _("withdrew a key that signed evidence"),
    Event.EVIDENCE_KEY_REFUSED: _("was refused to confirm a key that may sign evidence"),
    Event.DECISION_RECORDED: _("decided a gate check"),
    Event.DECISION_CONTRADICTED: _("replayed a decision, and it came out otherwise"),
    Event.PROMOTION_REQUESTED: _("requested a promotion"),
    Event.PROMOTION_IN_REVIEW: _("opened the promotion for review"),
    Event.PROMOTION_BLOCKED: _("found the promotion blocked"),
    Event.PROMOTION_APPROVED: _("found the promotion approved"),
    Event.PROMOTION_REJECTED: _("rejected the promotion"),
    Event.PROMOTION_WITHDRAWN: _("withdrew the promotion"),
    Event.PROMOTION_SUPERSEDED: _("superseded the promotion"),
    Event.PROMOTION_EXPIRED: _("let the promotion expire"),
    Event.PROMOTION_DEPLOYED: _("deployed what was promoted"),
    Event.SIGNOFF_GIVEN: _("signed off"),
    Event.SIGNOFF_KEYED: _("signed with their own key"),
    Event.SIGNOFF_REFUSED: _("was refused a sign-off"),
    Event.SIGNOFF_REVOKED: _("revoked a sign-off"),
    Event.SIGNOFF_REOPENED: _("reopened a rejection"),
    Event.DELEGATION_MADE: _("let somebody sign in their place"),
    Event.DELEGATION_ENDED: _("ended a delegation"),
    Event.DELEGATION_REFUSED: _("was refused a delegation"),
    Event.ROLLOUT_REPORTED: _("reported a step of a rollout"),
    Event.PERMIT_ISSUED: _("issued a deploy permit"),
    Event.PERMIT_CONSUMED: _("used a deploy permit"),
    Event.PERMIT_REFUSED: _("was refused a deploy permit"),
    Event.PERMIT_LAPSED: _("found a used permit without its deployment"),
    Event.ATTESTATION_KEY_ANNOUNCED: _("announced the key that signs attestations and permits"),
    Event.ATTESTATION_KEY_RETIRED: _("retired a key of attestations and permits"),
    Event.EXPLANATION_REQUESTED: _("requested an explanation"),
    Event.EXPLANATION_STARTED: _("started an explanation"),
    Event.EXPLANATION_RESUMED: _("resumed an explanation"),
    Event.EXPLANATION_FINISHED: _("finished an explanation"),
    Event.EXPLANATION_FAILED: _("could not finish an explanation"),
    Event.EXPLANATION_CANCELLED: _("cancelled an explanation"),
    Event.EXPLANATION_PAUSED: _("paused an explanation"),
    Event.EXPLANATION_CONTINUED: _("let an explanation go on"),
    Event.EXPLANATION_WAITING: _("found an explanation's endpoint silent"),
    Event.EXPLANATION_VERSION_CHANGED: _("discarded an explanation because another model answered"),
    Event.EXPLANATION_PREPARED: _("probed the endpoint of an explanation"),
    Event.EXPLANATION_ERASED: _("erased rows of an explanation"),
    Event.ANALYSIS_REQUESTED: _("requested an analysis of explanations"),
    Event.ANALYSIS_STARTED: _("started an analysis of explanations"),
    Event.ANALYSIS_FINISHED: _("finished an analysis of explanations"),
    Event.ANALYSIS_FAILED: _("could not finish an analysis of explanations"),
}
