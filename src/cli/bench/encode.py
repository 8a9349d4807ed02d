"""transformers' BERT, timed on request.

Started by `weighbridge bench encode` as `python -c TEXT ARM MODEL DEVICE`. Each line `run IDS.json
ROUNDS OUT.bin` on stdin is answered by one line of JSON on stdout: seconds of each round; the embedding
is written to OUT.bin as F32.
The first line tells what was found. A round begins with ids on the host and ends with the embedding
there: mean over the mask's tokens, divided by its norm. No TF32.
"""

import contextlib
import json
import sys
import time


def main(arm, model, device):
    import torch
    import transformers

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    config = transformers.AutoConfig.from_pretrained(model)
    bert = transformers.BertModel.from_pretrained(model, config=config, add_pooling_layer=False)
    bert = bert.to(device=device, dtype=torch.float32).eval()

    def forward(ids, mask):
        states = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        seen = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * seen).sum(1) / seen.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1)

    modes = {"eager": None, "compiled": "default", "compiled-graphs": "reduce-overhead"}
    mode = modes[arm]
    run = forward if mode is None else torch.compile(forward, mode=mode)

    @torch.inference_mode()
    def once(ids, mask):
        return run(ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)).cpu()

    yield {"version": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    for line in sys.stdin:
        _, path, rounds, target = line.split()
        with open(path) as file:
            ids = torch.tensor(json.load(file), dtype=torch.int64)
        ids = ids.pin_memory() if device.startswith("cuda") else ids
        mask = torch.ones_like(ids)
        mask = mask.pin_memory() if device.startswith("cuda") else mask
        # Compiling and warming up are not timed.
        for _ in range(8):
            out = once(ids, mask)
        seconds = []
        for _ in range(int(rounds)):
            begin = time.perf_counter()
            out = once(ids, mask)
            seconds.append(time.perf_counter() - begin)
        out.numpy().astype("<f4").tofile(target)
        yield {"seconds": [round(each, 9) for each in seconds]}


if __name__ == "__main__":
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for answer in main(*sys.argv[1:4]):
                print(json.dumps(answer), file=answers, flush=True)
        except Exception as error:  # told as an answer, whatever it is
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
            sys.exit(1)
