#!/bin/sh
# Weighs the loaders of others that have an adapter in adapters/, each by its manifest, on the host or on a CUDA device:
#   reports/loaders/weigh.sh OUT                          # all of them on the host, reports in the folder OUT
#   reports/loaders/weigh.sh OUT torch instanttensor      # these two
#   DEVICE=cuda:0 LABEL=h100 reports/loaders/weigh.sh OUT # all of them on a GPU
# Each has a time limit, and one that fails or runs out of time does not stop the others. A summary ends the run. It
# names the loaders that were left out, each with the reason, and has the table of classes.
# Exit status: 0 if there is a report of every loader that could be weighed, whatever it says; 1 if not.
#
# A loader's own messages can name folders of the machine, and nothing is changed in a report or its journal: so weigh
# in a checkout and with packages in folders whose names anybody may read, such as /opt/weighbridge.
#
# It needs python3 with torch, transformers and safetensors. Variables:
#   WEIGHBRIDGE=weighbridge   the program
#   DEVICE=cpu                the device
#   LABEL=host                stands in the reports' names: OUT/safetensors-torch-host.json (with a GPU: gpu)
#   LIMIT=3600                seconds for each loader; what was decided by then is reported
#   OPTIONS="--jobs 4"        further options of `certify`, such as --section or --seed
#   WHEELS=FOLDER             wheels of packages that are missing here; they are installed into OUT/packages
#   PROGRAMS=FOLDER           programs and libraries that are built for the device: weighbridge-candle,
#                             weighbridge-realizar, and llama_cpp with llama.cpp's shared libraries.
#                             Without it, those in adapters/*/target/release and adapters/llama_cpp/lib
set -u
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd) || exit 2
shift
# Commands in the reports are relative to the root of the sources.
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
[ -z "${WHEELS:-}" ] || WHEELS=$(cd "$WHEELS" && pwd) || exit 2
[ -z "${PROGRAMS:-}" ] || PROGRAMS=$(cd "$PROGRAMS" && pwd) || exit 2
program=$(command -v "${WEIGHBRIDGE:-weighbridge}") || { echo "no such program; set WEIGHBRIDGE" >&2; exit 2; }
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
# adapters/reference.yaml names it by its name alone.
PATH="$(dirname "$program"):$PATH"
export PATH
python=$(command -v python3) || { echo "python3 is not on the PATH" >&2; exit 2; }
cd "$root" || exit 2
device=${DEVICE:-cpu}
[ "$device" = cpu ] && place=host || place=gpu
label=${LABEL:-$place}
rm -f "$out/summary.txt"
asked=$*
[ $# -ge 1 ] || set -- torch fastsafetensors instanttensor runai_streamer transformers_f32 candle realizar llama_cpp python

# A manifest sets PYTHONPATH itself. So a python3 that stands first on the PATH adds the folder of the packages. The
# reports then have the digest of that script, so it is there only if packages are missing.
if [ -n "${WHEELS:-}" ]; then
  mkdir -p "$out/bin" "$out/packages"
  printf '#!/bin/sh\nPYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}%s" exec "%s" "$@"\n' "$out/packages" "$python" \
    >"$out/bin/python3"
  chmod +x "$out/bin/python3"
  PATH="$out/bin:$PATH"
  export PATH
fi
# Reports name files relative to the root of the sources, where that is possible: a journal is not changed later.
shown=${out#"$root"/}

has() {
  python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"
}

# The module's name, then the distribution's.
if [ -n "${WHEELS:-}" ]; then
  for package in safetensors:safetensors transformers:transformers fastsafetensors:fastsafetensors \
      instanttensor:instanttensor humanize:humanize runai_model_streamer:runai-model-streamer; do
    has "${package%%:*}" || "$python" -m pip install --quiet --no-index --no-deps --find-links "$WHEELS" \
      --target "$out/packages" "${package##*:}" || echo "cannot install ${package##*:} from $WHEELS" >&2
  done
fi

# fastsafetensors opens libcudart.so by this name. PyTorch's packages have it with its version only.
if [ $place = gpu ] && ! python3 -c "import ctypes; ctypes.CDLL('libcudart.so')" 2>/dev/null; then
  runtime=$(python3 - <<'PYTHON'
import re, torch
torch.cuda.is_available()
found = re.search(r"/\S*libcudart\.so\.\S+", open("/proc/self/maps").read())
print(found[0] if found else "")
PYTHON
)
  if [ -n "$runtime" ]; then
    mkdir -p "$out/lib"
    ln -sf "$runtime" "$out/lib/libcudart.so"
    LD_LIBRARY_PATH="$out/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export LD_LIBRARY_PATH
  fi
fi

# Programs that are built for CUDA need its libraries: those of PyTorch's packages, after any that are set already.
if [ $place = gpu ] && [ -n "${PROGRAMS:-}" ]; then
  folders=$(python3 - <<'PYTHON'
import importlib.util
from pathlib import Path
spec = importlib.util.find_spec("nvidia")
roots = [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []
names = ("libcublas.so.*", "libcudart.so.*", "libcurand.so.*", "libnvrtc.so.*")
print(":".join(sorted({str(found.parent) for root in roots for name in names for found in root.rglob(name)})))
PYTHON
)
  LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folders"
  export LD_LIBRARY_PATH
fi

# Why a loader cannot be weighed here; nothing if it can.
why_not() {
  case $place-$1 in
    host-instanttensor) echo "the library loads onto CUDA devices alone"; return ;;
    gpu-python) echo "it is host memory alone"; return ;;
    gpu-realizar) echo "its adapter loads into host memory"; return ;;
    gpu-candle|gpu-llama_cpp)
      [ -n "${PROGRAMS:-}" ] || { echo "it must be built for CUDA; set PROGRAMS to the folder that has it"; return; } ;;
  esac
  case $1 in
    torch) has torch && has safetensors || echo "torch or safetensors is not installed" ;;
    fastsafetensors) has fastsafetensors || echo "fastsafetensors is not installed; WHEELS may have it" ;;
    instanttensor) has instanttensor || echo "instanttensor is not installed; WHEELS may have it" ;;
    runai_streamer) has runai_model_streamer || echo "runai-model-streamer is not installed; WHEELS may have it" ;;
    transformers|transformers_f32) has transformers || echo "transformers is not installed; WHEELS may have it" ;;
    candle|realizar)
      [ -x "${PROGRAMS:-adapters/$1/target/release}/weighbridge-$1" ] ||
        echo "no program weighbridge-$1: cargo build --release --manifest-path adapters/$1/Cargo.toml, or set PROGRAMS" ;;
    llama_cpp)
      folder=${PROGRAMS:-adapters}/llama_cpp
      [ -n "${PROGRAMS:-}" ] || folder=$folder/lib
      ls "$folder"/libllama.*so* >/dev/null 2>&1 ||
        echo "no libllama in $folder; adapters/llama_cpp/library.py says where it is from; or set PROGRAMS" ;;
    python|reference) ;;
    *) echo "there is no such adapter" ;;
  esac
}

# The manifest; where PROGRAMS names another place for a program, a copy with that place.
manifest_of() {
  case $1 in
    transformers_f32) echo adapters/transformers/f32.yaml; return ;;
    reference) echo adapters/reference.yaml; return ;;
  esac
  manifest=adapters/$1/manifest.yaml
  case ${PROGRAMS:+$1} in
    candle|realizar)
      sed -e "s|^command: .*|command: [$PROGRAMS/weighbridge-$1]|" -e "s|^source: |&$root/adapters/$1/|" \
        "$manifest" >"$out/$1.yaml"
      manifest=$shown/$1.yaml ;;
    llama_cpp)
      sed -e "s|^command: .*|command: [python3, $root/adapters/llama_cpp/loader.py, $PROGRAMS/llama_cpp]|" \
        -e "s|\.\./python|$root/adapters/python|" "$manifest" >"$out/$1.yaml"
      manifest=$shown/$1.yaml ;;
  esac
  echo "$manifest"
}

# A report has the name that the loader gives itself.
called() {
  case $1 in
    torch) echo safetensors-torch ;;
    runai_streamer) echo runai-model-streamer ;;
    llama_cpp) echo llama.cpp ;;
    transformers_f32) echo transformers-f32 ;;
    python) echo plain-python ;;
    *) echo "$1" ;;
  esac
}

lacking=0
reports=
for loader in "$@"; do
  name=$(called "$loader")-$label
  reason=$(why_not "$loader")
  if [ -n "$reason" ]; then
    echo "$loader: left out: $reason" | tee -a "$out/summary.txt"
    [ -z "$asked" ] || lacking=1
    continue
  fi
  rm -f "$out/$name.json" "$out/$name.md"
  manifest=$(manifest_of "$loader")
  started=$(date +%s)
  # This signal lets it write the report of what was decided.
  # shellcheck disable=SC2086
  timeout --foreground --signal=TERM --kill-after=60 "${LIMIT:-3600}" "$program" certify --loader "$manifest" \
    --device "$device" --out "$shown/$name" ${OPTIONS:-} >"$out/$name.log" 2>&1 </dev/null
  code=$?
  seconds=$(($(date +%s) - started))
  verdict=$(grep -E '^(what the loader declares|class |[a-z]+ profile )' "$out/$name.log" | tail -n 1)
  echo "$loader: exit $code after $seconds s; ${verdict:-$(tail -n 1 "$out/$name.log")}" | tee -a "$out/summary.txt"
  if [ ! -s "$out/$name.json" ]; then
    lacking=1
    continue
  fi
  python3 - "$out/$name.json" <<'PYTHON' || lacking=1
import json, sys
from pathlib import Path
path = Path(sys.argv[1])
path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":")) + "\n")
PYTHON
  reports="$reports $name.json"
done
printf '\nThe reports are in %s; this is their summary.\n' "$out"
cat "$out/summary.txt"
[ -n "$reports" ] || exit 1
cd "$out" || exit 2
# shellcheck disable=SC2086
python3 "$root/reports/loaders/table.py" --judge "$program" $reports >table.txt || lacking=1
tee -a summary.txt <table.txt
exit $lacking
