"""Tables and the closed list of events."""

from __future__ import annotations

from audit.models.events import SENTENCES, Event
from audit.models.exports import Export, ExportState
from audit.models.governed import Governed
from audit.models.tables import Checkpoint, Key, Log, SelfCheck

__all__ = ["SENTENCES", "Checkpoint", "Event", "Export", "ExportState", "Governed", "Key", "Log", "SelfCheck"]
