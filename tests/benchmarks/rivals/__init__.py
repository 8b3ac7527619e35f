"""A Django application of the benchmark ``audit_save``: one model for each way to keep a history."""
