#!/usr/bin/env bash
# The tests of snapshots on file systems of their own: ext4, xfs and btrfs in a file, mounted. The last two can share
# blocks between source and snapshot. Needs root and each one's mkfs.
#
#   tests/arena_snapshot_mounts.sh TEST...      (built test programs)
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
mounted=''
finish() {
    [[ -z $mounted ]] || umount -- "$mounted" || umount -l -- "$mounted"
    rm -rf -- "$work"
}
trap finish EXIT

passed=0 failed=0 skipped=0
skip() {
    printf 'skip arena_snapshot_mounts/%s: %s\n' "$1" "$2"
    skipped=$((skipped + 1))
}

try() { # KIND MKFS-COMMAND...
    local kind=$1 program
    shift
    command -v "$1" >/dev/null || { skip "$kind" "there is no $1"; return 0; }
    truncate -s 4G "$work/$kind.image"
    if ! "$@" "$work/$kind.image" >"$work/log" 2>&1; then
        skip "$kind" "$1 failed: $(head -n 1 "$work/log")"
        return 0
    fi
    mkdir "$work/$kind"
    if ! mount -o loop "$work/$kind.image" "$work/$kind" 2>"$work/log"; then
        skip "$kind" "it cannot be mounted: $(head -n 1 "$work/log")"
        return 0
    fi
    mounted=$work/$kind
    for program in "${programs[@]}"; do
        if TMPDIR=$mounted "$program" >"$work/log" 2>&1; then
            printf 'pass arena_snapshot_mounts/%s on %s\n' "${program##*/}" "$kind"
            passed=$((passed + 1))
        else
            cat "$work/log"
            printf 'FAIL arena_snapshot_mounts/%s on %s\n' "${program##*/}" "$kind"
            failed=$((failed + 1))
        fi
    done
    umount -- "$mounted"
    mounted=''
}

programs=()
for program; do
    programs+=("$(realpath -e -- "$program")")
done
if ((EUID != 0)); then
    skip all 'only root may mount'
else
    try ext4 mkfs.ext4 -q -F
    try xfs mkfs.xfs -q -m reflink=1
    try btrfs mkfs.btrfs -q
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0)) || exit 1
((passed > 0)) || exit 77
