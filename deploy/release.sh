#!/usr/bin/env bash
# Makes everything that a release consists of, in a new folder:
#
#   pip install --requirement deploy/wheel/requirements.txt
#   deploy/release.sh OUT
#
# One program is built, for Linux on x86-64 with glibc 2.17 or newer, and it is both in the wheel and in
# the archive: reports of one certificate must come from one program. Everything is tried before it is
# packed. Cargo must have the dependencies or a network; no other step uses one.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: deploy/release.sh OUT" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ -z "$(ls -A "$out")" ] || { echo "$out is not empty" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for tool in cargo maturin python3 sha256sum; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
commit=$(git rev-parse HEAD)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
target=x86_64-unknown-linux-gnu
name=weighbridge-v$version-$target
# Times in archives are those of the commit, so that two releases of one commit have the same files.
SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct "$commit")
export SOURCE_DATE_EPOCH

step() { printf '%4d s  %s\n' "$SECONDS" "$*" >&2; }

step "package for crates.io"
# Refuses a checkout with changes. CI builds from the package alone.
cargo package --locked --no-verify --quiet --target-dir "$scratch/package"
crate=$scratch/package/package/weighbridge-$version.crate
test "$(stat --format %s "$crate")" -le 10485760

step "build the wheel"
(cd deploy/wheel && maturin build --release --locked --zig --target $target \
  --compatibility manylinux_2_17 --out "$scratch/wheel")
wheel=$(echo "$scratch"/wheel/weighbridge-"$version"-py3-none-*manylinux_2_17_x86_64*.whl)
test -f "$wheel"

step "install the wheel into a new environment"
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --no-index --no-deps "$wheel"
PATH=$scratch/venv/bin:$PATH
program=$scratch/venv/bin/weighbridge
# Newer symbols would make the tag a lie.
newest=$(grep --text --only-matching --extended-regexp 'GLIBC_2\.[0-9]+' "$program" | sort --unique --version-sort | tail -1)
test "$(printf '%s\nGLIBC_2.17\n' "$newest" | sort --version-sort | tail -1)" = GLIBC_2.17
# A changed checkout is named `COMMIT-dirty`.
test "$(weighbridge version | head -2)" = "weighbridge $version
commit   $commit"

step "try it, away from the checkout"
mkdir "$scratch/away"
cd "$scratch/away"
weighbridge doctor
weighbridge init python my-loader
weighbridge adapter check my-loader/manifest.yaml
# The package beside the program, without the copy that `init` made.
(cd / && python3 -I -c 'import weighbridge_adapter')
step "weigh the reference loader on the host path"
weighbridge certify --profile host --out "$scratch/host"

step "pack the archive"
cd "$root"
deploy/archive.sh "$program" "$name" "$out"
cp "$wheel" "$crate" LICENSE-MIT LICENSE-APACHE "$out/"
for ending in json md; do
  cp "$scratch/host.$ending" "$out/$name.host.$ending"
done
cd "$out"
sha256sum -- * > "$scratch/SHA256SUMS"
mv "$scratch/SHA256SUMS" .
step "done"
cat SHA256SUMS
