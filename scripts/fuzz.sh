#!/usr/bin/env bash
# fuzz.sh [TIME [DIR...]]: runs every fuzz target below the given folders (default:
# all) for TIME (default 20s), one after the other. Without -fuzzminimizetime Go spends up to a minute on shrinking each new
# input, and a short run tries next to nothing. A failing input is left in the
# target's testdata/fuzz folder, to be committed with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-20s}
shift || true
[ $# -gt 0 ] || set -- .
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=$(go env GOCACHE)/fuzz/russet

for dir in $(grep -rl --include='*_test.go' --exclude-dir=testdata --exclude-dir=bin '^func Fuzz' "$@" | xargs -r -n 1 dirname | sed "s,^[.]/,," | sort -u); do
	go test -c -fuzz=. -o "$tmp/fuzz.test" "./$dir"
	for target in $(cd "$dir" && "$tmp/fuzz.test" -test.list='^Fuzz'); do
		if ! (cd "$dir" && "$tmp/fuzz.test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$time" \
			-test.fuzzminimizetime=10x -test.fuzzcachedir="$cache/$dir") >"$tmp/out" 2>&1; then
			cat "$tmp/out"
			echo "FAIL	fuzz $dir $target"
			exit 1
		fi
		echo "ok	fuzz $dir $target: $(grep '^fuzz: elapsed' "$tmp/out" | tail -n 1 | sed 's/^fuzz: //')"
	done
done
