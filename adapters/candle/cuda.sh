#!/bin/sh
# Builds the program for CUDA devices: needs nvcc on the PATH, and CUDA_COMPUTE_CAP=90 (say) where no card is there to
# ask. Where the program runs, it needs CUDA's libraries on LD_LIBRARY_PATH.
#
# candle has cudarc link CUDA's libraries, and weighbridge has it open them at run time. cudarc refuses to be built for
# both. This builds with a copy of cudarc in which the second wins: then the program also starts, and says what is
# missing, where there is no driver.
set -eu
cd "$(dirname "$0")"
from=$(cargo metadata --format-version 1 --locked --features cuda | python3 -c '
import json, pathlib, sys
(cudarc,) = (one for one in json.load(sys.stdin)["packages"] if one["name"] == "cudarc")
print(pathlib.Path(cudarc["manifest_path"]).parent)')
copy=$PWD/target/cudarc
rm -rf "$copy"
mkdir -p target
cp -r "$from" "$copy"
sed -i -e '/cfg(all(feature = "dynamic-loading", feature = "dynamic-linking"))/,+1d' \
  -e 's/cfg(feature = "dynamic-linking")/cfg(all(feature = "dynamic-linking", not(feature = "dynamic-loading")))/' \
  "$copy/build.rs"
# The copy has no place in the lock file.
cp Cargo.lock target/Cargo.lock.kept
trap 'cp target/Cargo.lock.kept Cargo.lock' EXIT
cargo build --release --features cuda --config "patch.crates-io.cudarc.path=\"$copy\"" "$@"
