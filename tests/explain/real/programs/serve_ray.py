"""Run in Ray's environment: ``serve_ray.py <model.json> <port> <folder for its sockets and logs>``."""

import sys

import ray
from census_model import CensusModel
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0})
class Adult:
    """Answers ``{"predictions": …}`` with the probabilities of both classes."""

    def __init__(self, path):
        self.model = CensusModel(path)

    async def __call__(self, request: Request):
        asked = await request.json()
        return {"predictions": self.model.probabilities(asked["instances"]).tolist()}


if __name__ == "__main__":
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        _temp_dir=sys.argv[3],
        _node_ip_address="127.0.0.1",
        object_store_memory=100_000_000,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Adult.bind(sys.argv[1]), blocking=True)
