#!/usr/bin/env bash
# crash.sh [POINTS [KILLS]]: cuts runs off at every point that there is, at least
# POINTS (default 10000), and kills KILLS (default 300) running programs; says how
# many. Tests whose names hold Crash count their points: "crash points: N", where
# the power goes, and "fault points: N", where an operation fails. Their packages
# know the flag -every.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=${1:-10000}
kills=${2:-300}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

run() {
	if ! go test -v -count=1 -timeout=2h "$@" >"$out" 2>&1; then
		cat "$out"
		exit 1
	fi
}
# number WORDS: the sum of the numbers behind them.
number() { awk -v words="$1: " '(i = index($0, words)) { sum += substr($0, i + length(words)) } END { print sum + 0 }' "$out"; }

packages=$(grep -rl --include='*_test.go' '^func TestCrash' . | xargs grep -l 'flag.Bool("every"' | xargs -n 1 dirname | sort -u)
crashes=0
faults=0
for package in $packages; do
	run -run Crash "$package" -args -every
	here=$(number 'crash points')
	crashes=$((crashes + here))
	faults=$((faults + $(number 'fault points')))
	echo "ok	crash $package: $here crash points, $(number 'fault points') fault points"
done
run -run TestKills ./cmd/russet -args -kills "$kills"
killed=$(number 'real SIGKILLs')
echo "ok	crash: $crashes crash points, $faults fault points, $killed real SIGKILLs; nothing was lost"
if [ "$crashes" -lt "$wanted" ] || [ "$killed" -lt "$kills" ]; then
	echo "FAIL	crash: $wanted crash points and $kills SIGKILLs were wanted"
	exit 1
fi
