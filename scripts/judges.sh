#!/usr/bin/env bash
# judges.sh: installs the programs that judge ours, where that is possible: as
# root on a system with apt. Otherwise it says what is missing; the tests that
# need it skip with "judge missing", which CI refuses. pymobiledevice3 comes from
# PyPI, into a folder of its own below the user's cache; where PyPI is not reached
# that judge is not heard, and the tests say "not here". versitygw is built by Go
# into that cache.
set -euo pipefail
PATH=$PATH:/usr/sbin # where sshd is

# Each line: the command, then the Debian packages that bring it.
judges='restic restic
fusermount3 fuse3
sqlite3 sqlite3
rclone rclone
sshd openssh-server
ssh openssh-client
radicale radicale
xandikos xandikos
idevice_id libimobiledevice-utils
ifuse ifuse
khard khard
khal khal
vdirsyncer vdirsyncer
cc gcc libc6-dev
python3 python3 python3-venv'

# there says whether a command is. Debian's python3 alone makes no venv.
there() {
	command -v "$1" >/dev/null && { [ "$1" != python3 ] || python3 -c 'import ensurepip' 2>/dev/null; }
}

missing() {
	while read -r command packages; do
		there "$command" || echo "$packages"
	done <<<"$judges"
}

wanted=$(missing)
if [ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	{ apt-get update -q && apt-get install -q -y --no-install-recommends $wanted; } >/dev/null ||
		echo "judges: apt-get could not install all of them" >&2
fi

# The version that was tried.
pymobiledevice3=11.45.0
venv=${XDG_CACHE_HOME:-$HOME/.cache}/russet-judges/pymobiledevice3

# fetch installs pymobiledevice3, unless that version is there.
fetch() {
	compgen -G "$venv/lib/python*/site-packages/pymobiledevice3-$pymobiledevice3.dist-info" >/dev/null &&
		[ -x "$venv/bin/pymobiledevice3" ] && return
	rm -rf "$venv"
	mkdir -p "$(dirname "$venv")" && python3 -m venv "$venv" &&
		timeout 900 "$venv/bin/pip" install -q --retries 1 --timeout 20 "pymobiledevice3==$pymobiledevice3" && return
	rm -rf "$venv" # half of it would be taken for a judge
	return 1
}
if ! command -v pymobiledevice3 >/dev/null && ! fetch >/dev/null 2>&1; then
	echo "judges: no pymobiledevice3 here: it wants python3 with venv, and PyPI" >&2
fi

# versitygw, a server of S3, is built once into the user's cache, as Go has no
# package of it; that takes some minutes. The version that was tried.
versitygw=v1.8.0
bin=${XDG_CACHE_HOME:-$HOME/.cache}/russet-judges/versitygw

# build installs versitygw, unless that version is there.
build() {
	[ -x "$bin/versitygw" ] && go version -m "$bin/versitygw" 2>/dev/null |
		grep -q "github.com/versity/versitygw[[:space:]]$versitygw" && return
	mkdir -p "$bin" && GOFLAGS= GOBIN=$bin timeout 1800 go install "github.com/versity/versitygw/cmd/versitygw@$versitygw"
}
if ! command -v versitygw >/dev/null && ! build >/dev/null 2>&1; then
	echo "judges: no versitygw here: it wants Go, and its module proxy" >&2
fi

wanted=$(missing)
if [ -n "$wanted" ]; then
	echo "judges missing, install with your package manager:" $wanted
else
	echo "judges: all there"
fi
