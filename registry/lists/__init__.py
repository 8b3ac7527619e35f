"""The lists of the registry: their filters, for page, table and API alike, and the cells of their tables.

The address is a list's only state. What a filter cannot understand is refused with a sentence: an empty answer to a
misspelt question would read as «there is none».
"""

from __future__ import annotations

from registry.lists.base import ListFilter
from registry.lists.catalogue import DatasetFilter, ModelFilter
from registry.lists.places import DeploymentFilter, EnvironmentFilter, alone
from registry.lists.troubles import FindingFilter, IncidentFilter

#: The lists by the last part of the address of their tables.
LISTS: dict[str, type[ListFilter]] = {
    "models": ModelFilter,
    "datasets": DatasetFilter,
    "environments": EnvironmentFilter,
    "deployments": DeploymentFilter,
    "incidents": IncidentFilter,
    "findings": FindingFilter,
}

__all__ = [
    "LISTS",
    "DatasetFilter",
    "DeploymentFilter",
    "EnvironmentFilter",
    "FindingFilter",
    "IncidentFilter",
    "ListFilter",
    "ModelFilter",
    "alone",
]
