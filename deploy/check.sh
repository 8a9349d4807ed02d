#!/bin/sh
# Holds every file here against the schema of its engine. Needs no network, but two Python packages that
# bring their schemas along: pip install kubernetes-validate check-jsonschema
set -eu
cd "$(dirname "$0")"
jobs=$(mktemp -d)
trap 'rm -rf "$jobs"' EXIT

# No package brings the schemas of Kueue and JobSet. A job for Kueue is a plain Job with a label; of a
# JobSet the jobs within it are checked, as Jobs.
python3 - "$jobs" <<'PYTHON'
import json, pathlib, sys, yaml
jobset = yaml.safe_load(open("kubernetes/jobset.yaml"))
for one in jobset["spec"]["replicatedJobs"]:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": one["name"]}}
    job["spec"] = one["template"]["spec"]
    pathlib.Path(sys.argv[1], f"jobset-{one['name']}.yaml").write_text(json.dumps(job))
PYTHON
for file in volume plan job merge kueue; do
  kubernetes-validate --strict "kubernetes/$file.yaml"
done
kubernetes-validate --strict "$jobs"/*.yaml
check-jsonschema --builtin-schema vendor.github-workflows github/workflow.yml
check-jsonschema --builtin-schema vendor.github-actions github/action.yml
check-jsonschema --builtin-schema vendor.buildkite buildkite/pipeline.yml
for file in check.sh slurm/array.sbatch slurm/merge.sbatch slurm/submit; do
  sh -n "$file"
done
echo "every file is valid"
