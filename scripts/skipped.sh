#!/usr/bin/env bash
# skipped.sh FILE: prints the tests that were skipped, and under CI=true fails
# when one was for want of a judge: there, every judge is to be heard.
set -euo pipefail

file=$1
[ -s "$file" ] || { echo "skipped: nothing"; exit 0; }
echo "skipped:"
sort -u "$file" | sed 's/^/  /'
if [ "${CI:-}" = true ] && grep -q 'judge missing' "$file"; then
	echo "a judge is missing: install it (scripts/judges.sh) before trusting this run" >&2
	exit 1
fi
