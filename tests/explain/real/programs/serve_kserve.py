"""Run in KServe's environment: ``serve_kserve.py <model.json> --model_name=adult --http_port=… --grpc_port=…``.

Serves V1, V2 as JSON and V2 with the binary extension, through KServe's own server.
"""

import sys

import numpy as np
import xgboost
from kserve import InferOutput, InferResponse, Model, ModelServer


class Adult(Model):
    """Answers the probabilities of both classes in the protocol that it was asked in."""

    def __init__(self, name, path):
        super().__init__(name)
        self.model = xgboost.XGBClassifier(n_jobs=1)
        self.model.load_model(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):
            rows = np.array(payload["instances"], dtype=np.float64)
            return {"predictions": self.model.predict_proba(rows).tolist()}
        answer = self.model.predict_proba(payload.inputs[0].as_numpy())
        output = InferOutput(name="probabilities", shape=list(answer.shape), datatype="FP32")
        output.set_data_from_numpy(answer, binary_data=payload.use_binary_outputs)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    ModelServer(workers=1, enable_grpc=False).start([Adult("adult", sys.argv.pop(1))])
