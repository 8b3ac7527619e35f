"""What may happen: policies, evidence, sign-offs, promotions, and the people and tokens that act."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GovernanceConfig(AppConfig):
    name = "governance"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = _("governance")

    def ready(self) -> None:
        from audit.exports import sources
        from explain.signals import analysis_finished, explanation_erased, explanation_finished
        from governance import (
            access,  # noqa: F401  (registers its system check)
            analysed,
            explained,
        )
        from governance.documents import documents
        from governance.undeployed import undeployed
        from registry.reconciling import approvals

        sources.register("governance", documents)
        approvals.register("governance", undeployed)
        explanation_finished.connect(explained.attach)
        explanation_erased.connect(explained.detach)
        analysis_finished.connect(analysed.attach)
        explanation_finished.connect(analysed.disagree)
        explanation_erased.connect(analysed.detach)
