#!/usr/bin/env bash
# Packs a built program as the archive of a release, with its licences and the completions of three shells:
#
#   deploy/archive.sh PROGRAM NAME OUT      # writes OUT/NAME.tar.gz
set -euo pipefail

[ $# -eq 3 ] || { echo "usage: deploy/archive.sh PROGRAM NAME OUT" >&2; exit 2; }
program=$(realpath "$1") name=$2 out=$(realpath "$3")
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir -p "$scratch/$name/completions"
cp "$program" "$scratch/$name/weighbridge"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$scratch/$name/"
"$program" completions bash > "$scratch/$name/completions/weighbridge.bash"
"$program" completions zsh > "$scratch/$name/completions/_weighbridge"
"$program" completions fish > "$scratch/$name/completions/weighbridge.fish"
# The same bytes for the same files: no owner, one time, names in order.
tar --directory "$scratch" --create --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  --mtime="@${SOURCE_DATE_EPOCH:-0}" "$name" | gzip --no-name --best > "$out/$name.tar.gz"
