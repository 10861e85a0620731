#!/usr/bin/env bash
# The README's program is examples/hello.c, and does what the README shows.
#
#   tests/example_hello.sh HELLO      (the built program)
set -euo pipefail
export LC_ALL=C

hello=$(realpath -e -- "$1")
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

fail() {
    printf 'FAIL %s\n' "$*" >&2
    echo '0 passed, 1 failed, 0 skipped'
    exit 1
}

block() { # LANGUAGE: the README's first code block in it
    sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{/^\`\`\`/d;p}" "$root/README.md"
}

block c >readme.c
[[ -s readme.c ]] || fail 'README.md has no program'
diff readme.c "$root/examples/hello.c" >&2 || fail "README.md's program is not examples/hello.c"

# What the README shows, with what this machine's addresses are called there.
block console | sed -n '/^\$\|^Killed$/!p' | sed 's/0x[0-9a-f]*/ADDRESS/' >shown
for run in 1 2 3; do
    status=0
    { "$hello" >"$run.out" 2>"$run.err" || status=$?; } 2>/dev/null # the shell's own "Killed"
    [[ $status == 137 ]] || fail "run $run ended with $status: $(<"$run.err")"
    sed 's/0x[0-9a-f]*/ADDRESS/' "$run.out" >>seen
done
diff shown seen >&2 || fail 'it prints something else than README.md shows'

# Every note stays where it was.
[[ $(grep -h 'note 1 at' 2.out 3.out | sort -u | wc -l) == 1 ]] || fail 'note 1 has moved'

# And what goes wrong is said.
rm notes.loft
mkdir notes.loft
status=0
"$hello" >out 2>err || status=$?
[[ $status == 1 ]] || fail "with a folder in the arena's place it ended with $status"
grep -q 'notes\.loft' err || fail "the sentence does not name the file: $(<err)"
echo 'pass example_hello'
echo '1 passed, 0 failed, 0 skipped'
