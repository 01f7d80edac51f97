#!/usr/bin/env bash
# fuzz.sh [TIME [DIR...]]: runs every fuzz target below the given folders (default:
# all) for TIME (default 20s; 500x is 500 inputs), one after the other. Without
# -fuzzminimizetime Go spends up to a minute on shrinking each new input, and a
# short run tries next to nothing. A failing input is left in the target's
# testdata/fuzz folder, to be committed with the repair.
#
# Before Go 1.27 a run that reaches the end of its time now and then fails with
# nothing but "context deadline exceeded" (go.dev/issue/75804): that is no finding.
#
# New inputs are random, so make test has no part in this: it replays the seeds,
# and what was found, as every go test does.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-20s}
shift || true
[ $# -gt 0 ] || set -- .
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=$(go env GOCACHE)/fuzz/russet

# ended says whether a failed run only came to the end of its time: it says so, and
# nothing else but how far it came.
ended() {
	[[ $time != *x ]] && grep -q '^ *context deadline exceeded$' "$tmp/out" &&
		! grep -qvE '^(fuzz: elapsed: .*|--- FAIL: Fuzz[A-Za-z0-9_]+ \([0-9.]+s\)| *context deadline exceeded|FAIL|exit status 1)$' "$tmp/out"
}

for dir in $(grep -rl --include='*_test.go' --exclude-dir=testdata --exclude-dir=bin '^func Fuzz' "$@" | xargs -r -n 1 dirname | sed "s,^[.]/,," | sort -u); do
	go test -c -fuzz=. -o "$tmp/fuzz.test" "./$dir"
	for target in $(cd "$dir" && "$tmp/fuzz.test" -test.list='^Fuzz'); do
		if ! (cd "$dir" && "$tmp/fuzz.test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$time" \
			-test.fuzzminimizetime=10x -test.fuzzcachedir="$cache/$dir") >"$tmp/out" 2>&1 && ! ended; then
			cat "$tmp/out"
			echo "FAIL	fuzz $dir $target"
			exit 1
		fi
		echo "ok	fuzz $dir $target: $(grep '^fuzz: elapsed' "$tmp/out" | tail -n 1 | sed 's/^fuzz: //')"
	done
done
