#!/usr/bin/env bash
# Signs the small chat model with OpenSSF model signing, by a new key of each kind. The private keys are not kept.
#
#   pip install model-signing==1.1.1 pyopenssl && tests/attestations/signed/make.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../../../fixtures/chat/model" "$work/model"
for curve in prime256v1:p256 secp384r1:p384 secp521r1:p521; do
  name=${curve#*:}
  openssl ecparam -name "${curve%:*}" -genkey -noout -out "$work/$name.key"
  openssl ec -in "$work/$name.key" -pubout -out "$here/$name.pub"
  model_signing sign key "$work/model" --private_key "$work/$name.key" --signature "$here/$name.sig"
done
model_signing sign key "$work/model/model.safetensors" --private_key "$work/p256.key" --signature "$here/file-p256.sig"
