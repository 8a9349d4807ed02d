#!/bin/sh
# Weighs the loaders of others that have an adapter in adapters/, each by its manifest on a CUDA device:
#   reports/loaders/weigh_gpu.sh OUT                          # all of them, reports in the folder OUT
#   reports/loaders/weigh_gpu.sh OUT torch instanttensor      # these two
# Each has a time limit, and one that fails or runs out of time does not stop the others. A summary ends the run.
# Exit status: 0 if there is a report of every loader, whatever it says; 1 if not.
#
# It needs python3 with torch, transformers and safetensors. Variables:
#   WEIGHBRIDGE=weighbridge   the program
#   DEVICE=cuda:0             the device
#   LIMIT=1500                seconds for each loader; what was decided by then is reported
#   OPTIONS="--jobs 4"        further options of `certify`, such as --section or --seed
#   WHEELS=FOLDER             wheels of packages that are missing here; they are installed into OUT/packages
set -u
[ $# -ge 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd) || exit 2
shift
here=$(cd "$(dirname "$0")" && pwd) || exit 2
adapters=$here/../../adapters
program=${WEIGHBRIDGE:-weighbridge}
python=$(command -v python3) || { echo "python3 is not on the PATH" >&2; exit 2; }
command -v "$program" >/dev/null || { echo "no such program: $program; set WEIGHBRIDGE" >&2; exit 2; }
rm -f "$out/summary.txt"
[ $# -ge 1 ] || set -- torch fastsafetensors instanttensor runai_streamer transformers f32

# A manifest sets PYTHONPATH itself. So a python3 that stands first on the PATH adds the folder of the packages.
mkdir -p "$out/bin" "$out/packages"
printf '#!/bin/sh\nPYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}%s" exec "%s" "$@"\n' "$out/packages" "$python" \
  >"$out/bin/python3"
chmod +x "$out/bin/python3"
PATH="$out/bin:$PATH"
export PATH

# The module's name, then the distribution's.
for package in safetensors:safetensors transformers:transformers fastsafetensors:fastsafetensors \
    instanttensor:instanttensor humanize:humanize runai_model_streamer:runai-model-streamer; do
  python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('${package%%:*}') is None)" && continue
  if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --find-links "$WHEELS" --target "$out/packages" \
      "${package##*:}" || echo "cannot install ${package##*:} from $WHEELS" >&2
  else
    echo "missing: ${package##*:}; install it, or set WHEELS to a folder with its wheel" >&2
  fi
done

# fastsafetensors opens libcudart.so by this name. PyTorch's packages have it with its version only.
if ! python3 -c "import ctypes; ctypes.CDLL('libcudart.so')" 2>/dev/null; then
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

lacking=0
for loader in "$@"; do
  case $loader in
    f32) manifest=$adapters/transformers/f32.yaml ;;
    *) manifest=$adapters/$loader/manifest.yaml ;;
  esac
  rm -f "$out/$loader.json" "$out/$loader.md"
  started=$(date +%s)
  # This signal lets it write the report of what was decided.
  # shellcheck disable=SC2086
  timeout --foreground --signal=TERM --kill-after=60 "${LIMIT:-1500}" "$program" certify --loader "$manifest" \
    --device "${DEVICE:-cuda:0}" --out "$out/$loader" ${OPTIONS:-} >"$out/$loader.log" 2>&1 </dev/null
  code=$?
  seconds=$(($(date +%s) - started))
  verdict=$(grep -E '^[a-z]+ profile ' "$out/$loader.log" | tail -n 1)
  [ -s "$out/$loader.json" ] || lacking=1
  echo "$loader: exit $code after $seconds s; ${verdict:-$(tail -n 1 "$out/$loader.log")}" | tee -a "$out/summary.txt"
done
printf '\nThe reports are in %s; this is their summary.\n' "$out"
cat "$out/summary.txt"
[ $lacking = 0 ] || exit 1
for loader in "$@"; do
  set -- "$@" "$out/$loader.json"
  shift
done
python3 "$here/table.py" --judge "$program" "$@" | tee -a "$out/summary.txt"
