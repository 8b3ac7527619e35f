"""Witnesses of the log: others who sign that they saw it grow and never saw it change (C2SP tlog-witness)."""
