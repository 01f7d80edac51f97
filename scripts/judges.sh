#!/usr/bin/env bash
# judges.sh: installs the programs that judge ours, where that is possible: as
# root on a system with apt. Otherwise it says what is missing; the tests that
# need it skip with "judge missing", which CI refuses.
set -euo pipefail

# Each line: the command, then the Debian packages that bring it.
judges='restic restic
fusermount3 fuse3
sqlite3 sqlite3
rclone rclone
idevice_id libimobiledevice-utils
ifuse ifuse
cc gcc libc6-dev'

missing() {
	while read -r command packages; do
		command -v "$command" >/dev/null || echo "$packages"
	done <<<"$judges"
}

wanted=$(missing)
if [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	{ apt-get update -q && apt-get install -q -y --no-install-recommends $wanted; } >/dev/null ||
		echo "judges: apt-get could not install all of them" >&2
fi
wanted=$(missing)
if [ -n "$wanted" ]; then
	echo "judges missing, install with your package manager:" $wanted
else
	echo "judges: all there"
fi
