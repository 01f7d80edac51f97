#!/usr/bin/env bash
# race.sh ARGUMENTS...: runs go test with the race detector, which is the one
# thing here that needs a C compiler.
set -euo pipefail

cc=$(go env CC)
if ! command -v "${cc%% *}" >/dev/null; then
	echo "race: skipped, there is no C compiler ($cc)"
	[ "${CI:-}" != true ]
	exit
fi
CGO_ENABLED=1 exec "$(dirname "$0")/gotest.sh" /dev/null -race "$@"
