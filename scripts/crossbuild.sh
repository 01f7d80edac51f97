#!/usr/bin/env bash
# crossbuild.sh [DIR]: builds everything for every system that we ship to, and
# type-checks its tests there. With DIR it leaves the binaries in it, as they are
# released.
set -euo pipefail
export CGO_ENABLED=0

dir=${1:-}
[ -z "$dir" ] || mkdir -p "$dir"
for os in linux darwin windows; do
	for arch in amd64 arm64; do
		echo "+ $os/$arch"
		export GOOS=$os GOARCH=$arch
		if [ -n "$dir" ]; then
			suffix=
			[ "$os" != windows ] || suffix=.exe
			go build -trimpath -buildvcs=true -tags urfave_cli_no_docs -o "$dir/russet-$os-$arch$suffix" ./cmd/russet
			continue
		fi
		go build -tags urfave_cli_no_docs ./...
		[ "$arch" = amd64 ] || go vet -tags urfave_cli_no_docs ./...
	done
done
if [ -n "$dir" ]; then
	(cd "$dir" && sha256sum russet-* >SHA256SUMS && cat SHA256SUMS)
fi
