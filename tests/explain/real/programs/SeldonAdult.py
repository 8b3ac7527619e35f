"""Run in Seldon's environment: ``seldon-core-microservice SeldonAdult``; MODEL names the model's file."""

import os

from census_model import CensusModel
from grpc import _server

_add_insecure_port = _server._Server.add_insecure_port


def add_insecure_port(self, address):
    """gRPC's sockets are not Python's: see ``sitecustomize`` for the others."""
    return _add_insecure_port(self, address.replace("0.0.0.0", "127.0.0.1"))


_server._Server.add_insecure_port = add_insecure_port


class SeldonAdult:
    """The class that Seldon's wrapper looks for: the name of the module is its name."""

    def __init__(self):
        self.model = CensusModel(os.environ["MODEL"])

    def predict(self, X, names=None, meta=None):  # noqa: N803 — the wrapper calls it with this keyword
        return self.model.probabilities(X)
