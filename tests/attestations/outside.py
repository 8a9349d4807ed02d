"""Checks attestations with securesystemslib, the library of in-toto and TUF, which shares no code with this project.

    pip install securesystemslib cryptography
    openssl genpkey -algorithm ed25519 -out key.pem && openssl pkey -in key.pem -pubout -out key.pub
    weighbridge attest report.json --key key.pem
    python3 tests/attestations/outside.py report.intoto.jsonl key.pub

Prints the type of each statement that the key has signed. Exit status 1 if one of them is not signed by it.
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def main(attestations, public_key):
    with open(public_key, "rb") as file:
        key = SSlibKey.from_crypto(load_pem_public_key(file.read()))
    with open(attestations) as file:
        envelopes = [json.loads(line) for line in file if line.strip()]
    for number, envelope in enumerate(envelopes, 1):
        # A key's name is a hint, and each library has its own.
        for signature in envelope["signatures"]:
            signature["keyid"] = key.keyid
        envelope = Envelope.from_dict(envelope)
        try:
            envelope.verify([key], 1)
        except VerificationError as error:
            sys.exit(f"envelope {number}: {error}")
        print("signed:", json.loads(envelope.payload)["predicateType"])
    if not envelopes:
        sys.exit("there is no envelope")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
