#!/usr/bin/env bash
# What examples/wordindex.c promises in its help: words, files, what fails, what is left behind.
#
#   tests/example_wordindex.sh WORDINDEX      (the built program; LOFT_SEED=N repeats a run)
set -euo pipefail
export LC_ALL=C

program=$(realpath -e -- "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'chmod -R u+rwx -- "$work"; rm -rf -- "$work"' EXIT
cd -- "$work"
mkdir text

part=start passed=0 skipped=0
fail() {
    printf 'FAIL %s: %s\n' "$part" "$*" >&2
    echo "$passed passed, 1 failed, $skipped skipped"
    exit 1
}
begin() { part=$1 && rm -rf arena text && mkdir text; }
pass() {
    printf 'pass %s\n' "$part"
    passed=$((passed + 1))
}
skip() {
    printf 'skip %s: %s\n' "$part" "$1"
    skipped=$((skipped + 1))
}

# Runs the program; its exit status must be $1. Leaves out and err.
run() {
    local want=$1 status=0
    shift
    "$program" "$@" >out 2>err || status=$?
    ((status == want)) || fail "'$*' ended with $status, not $want: $(<err)"
}

said() { grep -aqF -- "$1" err || fail "the errors do not say '$1': $(<err)"; }
printed() { grep -aqF -- "$1" out || fail "it does not print '$1': $(tail -n 3 out)"; }

# Compares the arena with what coreutils make of these files.
# shellcheck disable=SC2018,SC2019 # bytes, not letters of a locale
agrees() { # FILE...
    for file in "$@"; do
        cat -- "$file"
        echo
    done | tr -cs 'A-Za-z0-9' '\n' | tr 'A-Z' 'a-z' | sed '/^$/d' | sort | uniq -c |
        sed 's/^ *\([0-9]*\) \(.*\)$/\2\t\1/' >want
    run 0 arena dump
    cmp -s out want || fail "the counts differ: $(diff out want | head -n 5)"
    run 0 arena check
}

repeat() { head -c "$2" /dev/zero | tr '\0' "$1"; }

begin words
printf 'One two,TWO\tthree\n\n3 x86_64 na\303\257ve a\0b -- \377' >text/bytes
: >text/empty
printf 'no newline at the en' >text/a
printf 'd of the file' >text/b
{ repeat x 65535 && printf 'yz tail'; } >text/border     # the word spans two blocks
{ repeat ' ' 65536 && printf 'edge'; } >text/edge        # a word begins with a block
{ repeat w 1000000 && printf ' ' && repeat w 1000001; } >text/long
run 0 arena add text/*
agrees text/*
run 0 arena find EDGE
printed 'EDGE: 1 in 1 files'
printed '         1  text/edge'
run 0 arena stat
[[ $(sed -n 's/^files *//p' out) == 7 ]] || fail "files: $(<out)"
[[ $(sed -n 's/^text bytes *//p' out) == $(cat text/* | wc -c) ]] || fail "bytes: $(<out)"
pass

begin order
printf 'b b b a a c c cc' >text/1
printf 'c a' >text/2
run 0 arena add text/2 text/1
run 0 arena top 3
printf '%10d  %s\n' 3 a 3 b 3 c | cmp -s - out || fail "top: $(<out)"
run 0 arena dump
printf '%s\t%d\n' a 3 b 3 c 3 cc 1 | cmp -s - out || fail "dump: $(<out)"
run 0 arena files
printf 'text/2\ntext/1\n' | cmp -s - out || fail "files: $(<out)"
run 0 arena find c
printf 'c: 3 in 2 files\n%10d  text/1\n%10d  text/2\n' 2 1 | cmp -s - out || fail "find: $(<out)"
pass

begin names
for name in 'with space' $'new\nline' $'esc\e[0m' -dash 'käse' '*'; do
    printf 'word %s' "${#name}" >"text/$name"
done
cd text
printf '%s\0' * >../list
"$program" ../arena add -0 --from ../list >../out
"$program" ../arena add -0 - <../list >>../out
"$program" ../arena add -- * >>../out
cd ..
[[ $(grep -c '^end' out) == 3 && $(grep -c '^done' out) == 6 ]] || fail "$(<out)"
run 0 arena files -0
cmp -s out list || fail 'the names came back changed'
run 0 arena files
grep -q $'\e' out && fail 'a name controls the terminal'
pass

begin lists
for n in {1..300}; do echo "$n common" >"text/$n"; done
printf '%s\n' text/* >list
run 0 arena add --from list text/1 text/1
printed '300 added, 0 counted anew, 2 done before' # the two that are named twice
agrees text/*
run 0 arena add --from list
printed '0 added, 0 counted anew, 300 done before, 0 skipped; 300 files, 600 words'
run 2 arena add --from text/nowhere
said 'text/nowhere: No such file or directory'
pass

begin changed
printf 'stays changes' >text/a
printf 'stays gone gone' >text/b
run 0 arena add text/a text/b
printf 'stays comes comes comes' >text/b
run 0 arena add text/a text/b
printed '0 added, 1 counted anew, 1 done before'
agrees text/a text/b
run 1 arena find gone
touch -d '1990-01-01' text/a
run 0 arena add text/a
printed '1 counted anew'
agrees text/a text/b
rm text/b # its words stay; that it is gone is said
run 1 arena add text/a text/b
said 'text/b: No such file or directory; skipped'
run 0 arena find comes
pass

begin unreadable
printf 'good words' >text/good
mkdir text/folder
mkfifo text/fifo
ln -s nowhere text/dangling
run 1 arena add text/folder text/fifo text/dangling /dev/null text/nowhere/x text/good
said 'text/folder: Is a directory; skipped'
said 'text/fifo: not a regular file; skipped'
said 'text/dangling: No such file or directory; skipped'
said '/dev/null: not a regular file; skipped'
printed '1 added, 0 counted anew, 0 done before, 5 skipped'
agrees text/good
if [[ -e /proc/self/mem ]]; then # a regular file whose reading fails, after its words were taken out
    rm text/good
    ln -s /proc/self/mem text/good
    run 1 arena add text/good
    grep -aqE 'text/good: (Input/output|I/O) error; skipped' err || fail "the errors do not say why: $(<err)"
    run 0 arena dump
    printf 'good\t1\nwords\t1\n' | cmp -s - out || fail "it was not rolled back: $(<out)"
    run 0 arena check
fi
pass

begin 'no permission'
if ((EUID == 0)); then
    skip 'root may read everything'
else
    printf 'secret' >text/secret
    chmod 0 text/secret
    run 1 arena add text/secret
    said 'text/secret: Permission denied; skipped'
    pass
fi

begin 'bad arenas'
printf 'word' >text/a
run 2 nowhere/arena add text/a
said 'nowhere/arena'
run 2 arena top
said 'arena'
[[ ! -e arena ]] || fail 'a question made an arena'
mkdir arena
run 2 arena add text/a
rmdir arena
printf 'this is no arena, and must not become one' >arena
cp arena before
run 2 arena add text/a
run 2 arena top
cmp -s arena before || fail 'it changed a file that is no arena'
[[ $(ls) == $'arena\nbefore\nerr\nlist\nout\ntext\nwant' ]] || fail "left behind: $(ls)"
pass

begin usage
printf 'word' >text/a
run 2
run 2 arena
run 2 arena nothing
run 2 arena add
run 2 arena find
run 2 arena find two words
run 2 arena top x
run 2 arena top -1
[[ ! -e arena ]] || fail 'bad usage made an arena'
run 0 arena add text/a
run 2 arena top 1x
run 2 arena top 99999999999999999999
run 2 arena find 'no-word'
run 1 arena find absent
run 0 arena find -t WoRd
said 'opened in '
run 0 --help
printed 'usage: wordindex'
status=0
"$program" arena dump >/dev/full 2>err || status=$?
((status == 2)) || fail "a full standard output: status $status"
said 'standard output: No space left'
run 0 arena add -q text/a
[[ ! -s out && ! -s err ]] || fail "-q said $(cat out err)"
pass

begin 'reading only'
printf 'some words' >text/a
run 0 arena add text/a
sum=$(cksum <arena)
for question in top 'find some' dump files stat check; do
    # shellcheck disable=SC2086 # two words
    run 0 arena $question
    [[ $(cksum <arena) == "$sum" ]] || fail "$question changed the arena"
done
chmod a-w arena
run 0 arena top
pass

# Random texts over few letters, so that words repeat, come and go; added, changed and added again
# in random order.
begin random
seed=${LOFT_SEED:-$SRANDOM}
echo "seed $seed"
RANDOM=$((seed % 32768))
for step in {1..30}; do
    for ((n = RANDOM % 6; n >= 0; n--)); do
        awk -v seed="$RANDOM$step" 'BEGIN { srand(seed); for (n = rand() * 4000; n > 0; n--)
            printf "%s", substr("abcAB12 ,\n ", int(rand() * 11) + 1, 1) }' >"text/$((RANDOM % 20))"
    done
    find text -type f | shuf --random-source=<(yes "$RANDOM") >list
    run 0 arena add --from list
    agrees text/*
done
pass
echo "$passed passed, 0 failed, $skipped skipped"
