"""Benchmarks: both sides in one run, the last line ``NAME ratio=<x> goal=<y>``. Run by ``manage.py bench NAME``."""
