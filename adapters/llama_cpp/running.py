"""Runs a model of llama.cpp: the logits at every position of a batch, and greedy generation."""

import ctypes
from ctypes import c_float, c_int8, c_int32

from weighbridge_adapter import Refused
from weighbridge_adapter.safetensors import parse, read_file

from library import Batch

AT_ONCE = 512  # the most tokens of one call


class Running:
    """A loaded model with its context and its device."""

    def __init__(self, library, model, context, device, longest):
        self.library, self.model, self.context = library, model, context
        self.device, self.longest = device, longest
        self.vocab = library.model_get_vocab(model)
        self.width = library.vocab_n_tokens(self.vocab)

    def forget(self):
        """Leave the sequence that was run."""
        self.library.memory_clear(self.library.get_memory(self.context), True)

    def step(self, tokens, at, every, keep=True):
        """Runs tokens from position `at`; the logits of each, or of the last one alone, as bytes where they are kept."""
        if not 1 <= len(tokens) or at + len(tokens) > self.longest or not all(0 <= one < self.width for one in tokens):
            raise Refused("infer", "invalid_input", "tokens that the model cannot be given",
                          expected=f"1 to {self.longest} tokens below {self.width}",
                          actual=f"{at + len(tokens)} tokens up to {max(tokens, default=0)}", remedy="give others")
        rows, at_once = [], min(AT_ONCE, self.longest)
        for begin in range(0, len(tokens), at_once):
            part = tokens[begin:begin + at_once]
            last = begin + len(part) == len(tokens)
            wanted = [every or last and one == len(part) - 1 for one in range(len(part))]
            self.decode(part, at + begin, wanted)
            if keep:
                rows += [self.logits(one) for one, is_wanted in enumerate(wanted) if is_wanted]
        return rows

    def decode(self, tokens, at, wanted):
        count = len(tokens)
        sequence = (c_int32 * 1)(0)
        lists = ((c_int32 * count)(*tokens), (c_int32 * count)(*range(at, at + count)), (c_int32 * count)(*[1] * count),
                 (ctypes.c_void_p * count)(*[ctypes.addressof(sequence)] * count), (c_int8 * count)(*wanted))
        token, position, sequences, ids, logits = (ctypes.cast(one, ctypes.c_void_p) for one in lists)
        batch = Batch(count, token, None, position, sequences, ids, logits)
        if status := self.library.decode(self.context, batch):
            raise Refused("infer", "device_fault", f"llama_decode gave {status}", "device", "unknown",
                          expected=0, actual=status, remedy="see standard error")

    def logits(self, at):
        first = self.library.get_logits_ith(self.context, at).contents
        return bytes((c_float * self.width).from_address(ctypes.addressof(first)))

    def forward(self, rows):
        """The logits at every position of a batch, zero where the mask hides it. Each row is run for itself."""
        given, none = [], bytes(4 * self.width)
        for tokens in rows:
            self.forget()
            seen = [token for token in tokens if token is not None]
            logits = iter(self.step(seen, 0, True))
            given += [none if token is None else next(logits) for token in tokens]
        return b"".join(given)

    def generate(self, tokens, limit, keep):
        """The most likely tokens after a prompt, the reason why they end, and the logits of each if they are kept."""
        self.forget()
        sampler = self.library.sampler_init_greedy()
        given, rows, stop, following, at = [], [], None, tokens, 0
        try:
            while stop is None:
                rows += self.step(following, at, False, keep)
                at += len(following)
                following = [self.library.sampler_sample(sampler, self.context, -1)]
                given += following
                if self.library.vocab_is_eog(self.vocab, following[0]):
                    stop = "end_of_sequence"
                elif len(given) == limit:
                    stop = "limit"
                elif len(tokens) + len(given) == self.longest + 1:
                    stop = "context"
        finally:
            self.library.sampler_free(sampler)
        return given, stop, rows


def batch_of(path):
    """The rows of a batch of the contract; a masked token is None."""
    def bad(expected, actual):
        return Refused("infer", "invalid_input", f"the input is not a batch of tokens: {expected}", expected=expected,
                       actual=actual, remedy="give input_ids and attention_mask, I64, of one shape")
    data = read_file(path)
    header = parse(data)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    if not {"input_ids", "attention_mask"} <= tensors.keys() <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise bad("input_ids and attention_mask", sorted(tensors))
    shapes = {(tensor.dtype, tuple(tensor.shape)) for tensor in tensors.values()}
    if len(shapes) != 1 or len(tensors["input_ids"].shape) != 2 or tensors["input_ids"].dtype != "I64":
        raise bad("I64 of one shape [batch, tokens]", sorted(shapes))
    (count, width), numbers = tensors["input_ids"].shape, {}
    for name in ("input_ids", "attention_mask"):
        tensor = tensors[name]
        part = memoryview(data)[header.start + tensor.begin:header.start + tensor.end]
        numbers[name] = [int.from_bytes(part[at:at + 8], "little", signed=True) for at in range(0, len(part), 8)]
    mask = numbers["attention_mask"]
    if not set(mask) <= {0, 1} or not all(any(mask[at * width:(at + 1) * width]) for at in range(count)):
        raise bad("a mask of ones and zeros with a token in every row", mask[:50])
    tokens = [token if seen else None for token, seen in zip(numbers["input_ids"], mask)]
    return [tokens[at * width:(at + 1) * width] for at in range(count)]
