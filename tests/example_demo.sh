#!/usr/bin/env bash
# script/demo agrees with a good indexer, sees through a bad one, and leaves nothing behind.
#
#   tests/example_demo.sh WORDINDEX      (the built program; LOFT_SEED=N repeats a run)
set -euo pipefail
export LC_ALL=C

program=$(realpath -e -- "$1")
demo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)/script/demo
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"
mkdir text tmp
export TMPDIR=$work/tmp
seed=${LOFT_SEED:-$SRANDOM}
echo "seed $seed"

passed=0
fail() {
    printf 'FAIL %s\n' "$*" >&2
    echo "$passed passed, 1 failed, 0 skipped"
    exit 1
}

pass() {
    printf 'pass %s\n' "$1"
    passed=$((passed + 1))
}

# Runs the demo with the indexer $2; its exit status must be $1.
run() {
    local want=$1 with=$2 status=0
    shift 2
    "$demo" --program "$with" --seed "$((seed % 1000000))" "$@" >out 2>err || status=$?
    ((status == want)) || fail "'$*' ended with $status, not $want: $(tail -n 5 out err)"
    [[ -z $(ls -A tmp) ]] || fail "'$*' left behind: $(ls -A tmp)"
}

RANDOM=$((seed % 32768))
for n in {1..150}; do
    awk -v seed="$RANDOM$n" 'BEGIN { srand(seed); for (n = 0; n < 3000; n++)
        printf "%s", substr("abcdeABCDE123  ,\n", int(rand() * 17) + 1, 1) }' >"text/$n"
done
printf 'ends without a newline' >'text/with a space'
printf 'begins a file' >$'text/with\na line'
: >text/empty
printf 'bi\0nary' >text/binary

run 0 "$program" text
grep -q '^  files  *152$' out || fail "it did not find the 152 texts: $(<out)"
grep -q '^  killed  *by SIGKILL in file ' out || fail "it does not say where it killed: $(<out)"
grep -q ' counts agree with coreutils' out || fail "it does not say that counts agree: $(<out)"
run 0 "$program" --rounds 3 --kills 3 text
[[ $(grep -c 'all counts agree$' out) == 3 ]] || fail "it did not do three rounds: $(<out)"
run 0 "$program" text/1 text/2 text/3 text/1 text/4 text/5 text/6 text/7
grep -q '^  files  *7$' out || fail "a file that is named twice: $(<out)"
pass 'a good indexer'

command=$(dirname -- "$program")/../src/cli/loft
if [[ -x $command ]]; then
    run 0 "$program" --loft "$command" --keep kept text
    [[ $(ls kept) == $'index.loft\nmap.html\nstat.txt' ]] || fail "it kept: $(ls kept)"
    grep -q "^  loft map  *$PWD/kept/map.html" out || fail "it does not say where the map is: $(<out)"
    "$command" check kept/index.loft >err || fail "the snapshot is damaged: $(<err)"
    pass 'the loft command'
fi

# Indexers with one fault each. All but the named command is left to the real one.
plant() { # COMMAND SCRIPT
    # shellcheck disable=SC2016
    printf '#!/bin/bash\nif [[ $2 == %s ]]; then\n%s\nelse\nexec "%s" "$@"\nfi\n' \
        "$1" "$2" "$program" >bad
    chmod +x bad
}
plant dump "\"$program\" \"\$@\" | sed '5s/\$/1/'"
run 1 ./bad text
grep -q 'the counts of .* differ' err || fail "a wrong count: $(<err)"
plant dump "\"$program\" \"\$@\" | sed '\$d'"
run 1 ./bad text
grep -q 'the counts of .* differ' err || fail "a lost word: $(<err)"
plant files "\"$program\" \"\$@\" | head -z -n -2"
run 1 ./bad text
grep -q 'were reported, .* are there' err || fail "a lost commit: $(<err)"
plant files "\"$program\" \"\$@\" | sort -zr"
run 1 ./bad text
grep -q 'other files are there' err || fail "other files: $(<err)"
plant files 'echo "cannot open" >&2; exit 2'
run 1 ./bad text
grep -q 'cannot be opened' err || fail "an arena that does not open: $(<err)"
plant check 'echo "the arena has faults"; exit 1'
run 1 ./bad text
grep -q 'the arena has faults' err || fail "a failed check: $(<err)"
plant add 'exit 3'
run 1 ./bad text
grep -q 'failed with 3' err || fail "an indexer that fails: $(<err)"
pass 'bad indexers'

run 2 "$program" text/1
run 2 "$program" text/binary text/empty
run 2 "$program" nowhere
run 2 "$program" --rounds 0 text
run 2 "$program" --kills x text
run 2 "$program" --nothing text
run 2 /dev/null/program text
run 0 "$program" --help
grep -q '^usage: script/demo' out || fail "no usage: $(<out)"
pass 'bad usage'

for signal in TERM INT HUP; do
    for delay in 0.05 0.2 0.4 0.6; do
        status=0
        # A shell that was started in the background hands on that INT is ignored; then its programs end as
        # if nothing was, and bash goes on. It also goes on if an INT comes when the program that it waits for is just
        # ending well, as at a terminal; then a second one is sent.
        env --default-signal=TERM,INT,HUP timeout -k 30 -s "$signal" 5 timeout -s "$signal" "$delay" \
            "$demo" --program "$program" --rounds 1000 text >out 2>err || status=$?
        ((status == 124)) || fail "it ended with $status before a $signal: $(<err)"
        for _ in {1..100}; do # its guard removes the folder when all else of it has ended
            [[ -n $(ls -A tmp) ]] || break
            sleep 0.1
        done
        [[ -z $(ls -A tmp) ]] || fail "a $signal after $delay s left $(ls -A tmp)"
    done
done
pass 'interrupted'
echo "$passed passed, 0 failed, 0 skipped"
