"""Run in Triton's environment: ``serve_triton.py <model.json> <http port> <grpc port> <metrics port>``."""

import sys

import numpy as np
from census_model import CensusModel
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

model = CensusModel(sys.argv[1])


@batch
def predict(rows):
    return {"probabilities": model.probabilities(rows)}


ports = {"http_port": int(sys.argv[2]), "grpc_port": int(sys.argv[3]), "metrics_port": int(sys.argv[4])}
local = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1", "metrics_address": "127.0.0.1"}
if __name__ == "__main__":
    with Triton(config=TritonConfig(**ports, **local)) as triton:
        triton.bind(
            model_name="adult",
            infer_func=predict,
            inputs=[Tensor(name="rows", dtype=np.float64, shape=(model.booster.num_features(),))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(2,))],
            config=ModelConfig(max_batch_size=20_000),
        )
        triton.serve()
