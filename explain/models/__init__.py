"""Tables of explanations: the governed job, its sealed rows, and their results, which the job's receipt covers."""

from explain.models.jobs import (
    LIFECYCLE,
    OPEN,
    Algorithm,
    ExplanationInput,
    ExplanationJob,
    ExplanationRow,
    Level,
    Method,
    Scale,
    Standing,
    State,
)

__all__ = [
    "LIFECYCLE",
    "OPEN",
    "Algorithm",
    "ExplanationInput",
    "ExplanationJob",
    "ExplanationRow",
    "Level",
    "Method",
    "Scale",
    "Standing",
    "State",
]
