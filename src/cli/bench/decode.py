"""transformers' decoder, timed on request.

Started by `weighbridge bench decode` as `python -c TEXT ARM MODEL DEVICE DTYPE`. Each line `first IDS.json
ROUNDS` or `tokens IDS.json COUNT ROUNDS` on stdin is answered by one line of JSON on stdout: seconds of
each round, and the tokens. The first line tells what was found. `first`: from ids on the host to the first
token there. `tokens`: from the first token to the last of COUNT, greedy, end tokens ignored: what
generating COUNT takes beyond generating one. No TF32.
"""

import contextlib
import json
import sys
import time


def main(arm, model, device, dtype):
    import torch
    import transformers

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    transformers.logging.set_verbosity_error()
    kind = {"bf16": torch.bfloat16, "f32": torch.float32}[dtype]
    decoder = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=kind).to(device).eval()
    decoder.generation_config.eos_token_id = None
    decoder.generation_config.pad_token_id = 0
    # The static cache makes generate() compile its step, the mode that its documentation names.
    cache = {"eager": None, "static, compiled": "static"}[arm]

    @torch.inference_mode()
    def generate(ids, count):
        given = torch.tensor([ids], dtype=torch.int64).to(device)
        mask = torch.ones_like(given)
        out = decoder.generate(
            given, attention_mask=mask, do_sample=False, min_new_tokens=count, max_new_tokens=count,
            cache_implementation=cache,
        )
        return out[0, len(ids):].tolist()

    yield {"version": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    for line in sys.stdin:
        kind, path, *numbers = line.split()
        with open(path) as file:
            ids = json.load(file)
        count, rounds = (1, int(numbers[0])) if kind == "first" else (int(numbers[0]), int(numbers[1]))
        # Compiling and warming up are not timed.
        for _ in range(3):
            tokens = generate(ids, count)
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            tokens = generate(ids, count)
            taken = time.perf_counter() - begin
            if kind == "tokens":
                begin = time.perf_counter()
                generate(ids, 1)
                taken -= time.perf_counter() - begin
            seconds.append(round(taken, 9))
        yield {"seconds": seconds, "tokens": tokens}


if __name__ == "__main__":
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for answer in main(*sys.argv[1:5]):
                print(json.dumps(answer), file=answers, flush=True)
        except Exception as error:  # told as an answer, whatever it is
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
            sys.exit(1)
