#!/usr/bin/env bash
# demo.sh: Russet on a small made-up phone, first by its protocols, then from the
# encrypted backups that it left in a folder. Each time it is backed up, lives
# for a day, is backed up again; both versions are then written back and compared
# with what the phone had sent. Leaves nothing behind. "make demo" builds what it
# needs first.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
phone=$dir/MobileSync/Backup
export RUSSET_REPOSITORY=$dir/repo RUSSET_PASSWORD=demo RUSSET_BACKUP_PASSWORD=demo
mkdir -p "$phone"

run() {
	printf '\n$ russet %s\n' "$*"
	bin/russet "$@"
}
same() {
	diff -r "$1" "$2"
	echo "identical: $(find "$1" -type f | wc -l | tr -d ' ') files"
}

printf '\n# The phone itself\n'
run demo

printf '\n# The backup folders that other programs left\n'
bin/mkbackup -dir "$phone" -preset demo -encrypt -password demo
cp -R "$phone" "$dir/first"

run init
run backup "$phone"
bin/mkbackup -dir "$phone" -preset demo -encrypt -password demo -generation 1
run backup "$phone"
run snapshots
run ls latest Files | head -n 20
run check --read-data

first=$(bin/russet snapshots --json | grep -o '"short_id": *"[0-9a-f]*"' | head -n 1 | grep -o '[0-9a-f]*"$' | tr -d '"')
run restore latest --target "$dir/latest"
same "$phone" "$dir/latest"
run restore "$first" --target "$dir/oldest"
same "$dir/first" "$dir/oldest"
run restore latest --target "$dir/files" --as files
echo "$(find "$dir/files" -type f | wc -l | tr -d ' ') files to look at"
printf '\nBoth versions came back byte for byte.\n'
