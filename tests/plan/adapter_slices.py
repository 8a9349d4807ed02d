"""What the adapters of other loaders claim of grids: `python3 adapter_slices.py JOBS INTO`.

JOBS is a JSON list of `{"config": ..., "shapes": {name: shape}, "parallel": {"tp", "pp", "replicas", "ranks"}}`. INTO
gets a list of claims, as `weighbridge plan --claimed` takes them.
"""

import json
import sys

from weighbridge_adapter import Refused

from slices import Plan, check_grid


def claim(job):
    parallel = job["parallel"]
    parallel["ranks"] = [{"rank": rank, "device": "cpu"} for rank in parallel["ranks"]]
    try:
        check_grid(parallel)
        plan = Plan(job["config"], job["shapes"], parallel)
    except Refused as refused:
        return {"refused": f"{refused.failure['code']}: {refused}", "ranks": []}
    ranks = []
    for place in parallel["ranks"]:
        held = plan.slices(place["rank"])
        ranks.append({"rank": place["rank"], "device": place["rank"], "elsewhere": len(job["shapes"]) - len(held),
                      "tensors": list(held.values())})
    return {"ranks": ranks}


with open(sys.argv[1], encoding="utf-8") as file:
    claims = [claim(job) for job in json.load(file)]
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(claims, file)
