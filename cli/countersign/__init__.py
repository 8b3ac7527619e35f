"""The command line of Countersign. Standard library only, so that it fits into any pipeline image."""

__version__ = "0.1.0"
