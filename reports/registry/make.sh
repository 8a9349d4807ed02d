#!/bin/sh
# Makes a registry of the loaders that `reports/loaders/weigh.sh` has weighed:
#   reports/registry/make.sh WEIGHED KEYS OUT
# WEIGHED  the folder that weigh.sh wrote: of each loader NAME.json and NAME.journal.ndjson
# KEYS     submitter.pem and registry.pem, with submitter.pub and registry.pub; missing ones are made here
# OUT      a new folder: submissions/, one folder for each loader, and site/, the registry
# `loaders.tsv` beside this script has what a report does not know: name, where the loader can be had, whom to ask. The
# file system of WEIGHED is asked of the machine.
# Exit status: 0 if every loader of loaders.tsv whose report is there is in the registry; 1 if not; 2 for wrong use.
#
# Variable: WEIGHBRIDGE=weighbridge   the program, built from the commit that the reports name
set -eu
[ $# -eq 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
weighed=$1 keys=$2 out=$3
here=$(dirname "$0")
weighbridge=${WEIGHBRIDGE:-weighbridge}
[ ! -e "$out" ] || { echo "$out is there already; name a new folder" >&2; exit 2; }
mkdir -p "$keys" "$out/submissions"

for name in submitter registry; do
  if [ ! -e "$keys/$name.pem" ]; then
    (umask 077; openssl genpkey -algorithm ed25519 -out "$keys/$name.pem")
    openssl pkey -in "$keys/$name.pem" -pubout -out "$keys/$name.pub"
  fi
done

file_system=$(stat --file-system --format=%T "$weighed")
lacking=0
tab=$(printf '\t')
while IFS="$tab" read -r name source contact; do
  case $name in ''|'#'*) continue ;; esac
  report=$weighed/$name.json
  [ -e "$report" ] || { echo "$name: no report"; continue; }
  "$weighbridge" attest "$report" --key "$keys/submitter.pem" &&
    "$weighbridge" submit "$report" --attestation "$weighed/$name.intoto.jsonl" --key "$keys/submitter.pub" \
      --journal "$weighed/$name.journal.ndjson" --source "$source" --contact "$contact" \
      --file-system "$file_system" --out "$out/submissions/$name" &&
    "$weighbridge" verify-submission "$out/submissions/$name" --countersign "$keys/registry.pem" ||
    { echo "$name: not in the registry" >&2; lacking=1; }
done <"$here/loaders.tsv"

"$weighbridge" registry "$out/submissions" --key "$keys/registry.pub" --out "$out/site" || lacking=1
exit $lacking
