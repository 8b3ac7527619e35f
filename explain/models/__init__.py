"""Tables of explanations: the governed job, its sealed rows, their results, which the job's receipt covers, and
analyses of finished jobs.
"""

from explain.models.analyses import ANALYSIS_LIFECYCLE, Analysis, AnalysisState, Kind
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
from explain.models.notices import Notice, NoticeState

__all__ = [
    "ANALYSIS_LIFECYCLE",
    "LIFECYCLE",
    "OPEN",
    "Algorithm",
    "Analysis",
    "AnalysisState",
    "ExplanationInput",
    "ExplanationJob",
    "ExplanationRow",
    "Kind",
    "Level",
    "Method",
    "Notice",
    "NoticeState",
    "Scale",
    "Standing",
    "State",
]
