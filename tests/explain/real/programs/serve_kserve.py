"""Run in KServe's environment: ``serve_kserve.py <model.json> --model_name=adult --http_port=… --grpc_port=…``.

Serves V1, V2 as JSON and V2 with the binary extension, through KServe's own server.
"""

import sys

import numpy as np
from census_model import CensusModel
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_response


class Adult(Model):
    """Answers the probabilities of both classes in the protocol that it was asked in."""

    def __init__(self, name, path):
        super().__init__(name)
        self.model = CensusModel(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        rows = payload["instances"] if isinstance(payload, dict) else payload.inputs[0].as_numpy()
        answer = self.model.probabilities(np.array(rows, dtype=np.float64))
        return get_predict_response(payload, answer, self.name)


if __name__ == "__main__":
    ModelServer(workers=1, enable_grpc=False).start([Adult("adult", sys.argv.pop(1))])
