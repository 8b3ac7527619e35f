"""Pure cores of the log: no Django, no clock, no I/O."""
