"""The app of why a model says so: explanation jobs against served models."""

from __future__ import annotations

from django.apps import AppConfig


class ExplainConfig(AppConfig):
    name = "explain"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.exports import sources
        from explain import notices
        from explain.documents import documents
        from explain.evidence import of_versions
        from explain.signals import explanation_ended
        from registry.lineage import attached
        from registry.signals import evidence_asked

        sources.register("explain", documents)
        attached.register("explanation", "explain_explanationjob", "explained")
        evidence_asked.connect(of_versions)
        explanation_ended.connect(notices.write)
