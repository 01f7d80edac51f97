#!/usr/bin/env bash
# gotest.sh SKIPPED ARGUMENTS...: runs go test, prints the line of each package
# and all that a failing package said, and appends the skipped tests with their
# reasons to the file SKIPPED. Its exit code is that of go test.
set -uo pipefail

skipped=$1
shift
go test -v "$@" 2>&1 | awk -v skipped="$skipped" '
# What a package said is held back until its last line tells how it ended.
function flush(show,   i) {
	for (i = 0; i < n; i++) if (show && said[i] !~ /^ *(=== |--- PASS)/) print said[i]
	n = 0
}
/^=== (RUN|CONT|NAME) / { current = $3 }
/^ +[^ ]+\.go:[0-9]+: (judge missing|samples missing|short|not here): / {
	reason[current] = $0
	sub(/^ +[^ ]+: /, "", reason[current])
}
# A fuzz target skips seeds that say nothing; that is no gap.
/^ *--- SKIP: / { skips[count++] = $3 }
/^(ok  |\?   )/ {
	for (i = 0; i < count; i++) if (skips[i] !~ /^Fuzz/) print $2 " " skips[i] ": " reason[skips[i]] >> skipped
	count = 0; delete reason
	flush(0); print; fflush(); next
}
/^FAIL\t/ { count = 0; delete reason; flush(1); print; fflush(); next }
{ said[n++] = $0 }
END { flush(1) }
'
exit "${PIPESTATUS[0]}"
