"""Served models over HTTP: one module per protocol behind one ``ServingClient``."""
