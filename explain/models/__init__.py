"""Tables of explanations: the governed job, and its rows, which the job's receipt covers."""

from explain.models.jobs import LIFECYCLE, ExplanationJob, ExplanationRow, Method, Standing, State

__all__ = ["LIFECYCLE", "ExplanationJob", "ExplanationRow", "Method", "Standing", "State"]
