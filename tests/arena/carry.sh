#!/usr/bin/env bash
# One build writes an arena, the other goes on with it, and the first again. Each leaves commits in the journal for the
# other to apply.
#
#   tests/arena/carry.sh PROGRAM [OTHER]      (arena_carry; OTHER: of a build for another processor)
#
# LAUNCHER, a list with ';', starts programs that are not this machine's: OTHER, or without it PROGRAM.
set -euo pipefail

one=("$1")
other=("${2:-$1}")
if [[ -n ${LAUNCHER:-} ]]; then
    IFS=';' read -r -a launcher <<<"$LAUNCHER"
    other=("${launcher[@]}" "${other[@]}")
    [[ $# -gt 1 ]] || one=("${other[@]}")
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT

fail() {
    printf 'FAIL arena_carry: %s\n' "$*" >&2
    echo '0 passed, 1 failed, 0 skipped'
    exit 1
}
run() { # WANT COMMAND...
    local want=$1 said
    shift
    said=$("$@" 2>&1) || fail "$* ended with $?: $said"
    [[ $said == *": $want nodes were there, 2000 more are" ]] || fail "$* said: $said"
}

run 0 "${one[@]}" write "$work/there"
run 2000 "${other[@]}" go-on "$work/there"
run 4000 "${one[@]}" go-on "$work/there"
run 0 "${other[@]}" write "$work/back"
run 2000 "${one[@]}" go-on "$work/back"
run 4000 "${other[@]}" go-on "$work/back"
echo 'pass arena_carry'
echo '1 passed, 0 failed, 0 skipped'
