#!/usr/bin/env bash
# libloft-malloc.so under programs: our own that ask and stress it, and real ones, whose output must be the
# same with and without it.
#
#   tests/preload/programs.sh LIBRARY API STRESS PLUGIN LOFT      (what the build made)
#
# LOFT_SEED repeats a run; LOFT_TEST_LONG makes the stress last five minutes for each number of threads.
set -uo pipefail
export LC_ALL=C

library=$(realpath -e -- "$1") api=$(realpath -e -- "$2") stress=$(realpath -e -- "$3")
plugin=$(realpath -e -- "$4") loft=$(realpath -e -- "$5")
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"
passed=0 failed=0 skipped=0
seed=${LOFT_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "LOFT_SEED=$seed repeats it"
seconds=2
[[ -n ${LOFT_TEST_LONG:-}${LOFT_TEST_RELEASE:-} ]] && seconds=300

pass() { passed=$((passed + 1)); echo "pass preload/$1"; }
fail() { failed=$((failed + 1)); echo "FAIL preload/$1: $2"; }
skip() { skipped=$((skipped + 1)); echo "skip preload/$1: $2"; }

with() { LD_PRELOAD=$library "$@"; }

# It is what serves: its line of figures comes from the library alone.
serves() { # NAME COMMAND...
    local name=$1
    shift
    LOFT_MALLOC_STATS=1 with "$@" >/dev/null 2>figures || true
    grep -q '^loft-malloc [0-9]*: [0-9]* blocks live' figures ||
        fail "$name" 'its memory did not come from the library'
}

# same NAME COMMAND...: exit status, output and errors are those of a run without.
same() {
    local name=$1 plain=0 loaded=0
    shift
    if ! command -v "$1" >/dev/null 2>&1; then
        skip "$name" "$1 is not installed"
        return
    fi
    "$@" >plain.out 2>plain.err || plain=$?
    with "$@" >loaded.out 2>loaded.err || loaded=$?
    if [[ $plain != "$loaded" ]]; then
        fail "$name" "ends with $loaded, without the library with $plain: $(tail -n 3 loaded.err)"
    elif ! cmp -s plain.out loaded.out || ! cmp -s plain.err loaded.err; then
        fail "$name" "another output: $(diff <(cat plain.out plain.err) <(cat loaded.out loaded.err) | head -n 5)"
    else
        pass "$name"
    fi
}

# --- what malloc promises ----------------------------------------------------------------------------

if with "$api" >out 2>&1; then pass api; else fail api "$(head -n 5 out)"; fi
serves api "$api"
for threads in 1 4 32; do
    if with "$stress" "$threads" "$seconds" "$seed" "$plugin" >out 2>&1; then
        pass "stress with $threads threads: $(<out)"
    else
        fail "stress with $threads threads" "$(tail -n 3 out)"
    fi
done

# Misuse ends the program with a sentence.
cat >twice.py <<'END'
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
block = libc.malloc(100)
libc.free(block)
libc.free(block)
END
if command -v python3 >/dev/null; then
    (with python3 twice.py) >out 2>&1
    if grep -q 'loft: misuse: .*free already' out; then pass 'a double free'; else fail 'a double free' "$(<out)"; fi
fi

# --- what it shows of a program ----------------------------------------------------------------------

LOFT_MALLOC_SNAPSHOT=$work/end-%p.loft with perl -e 'my %h; $h{$_} = "x" x $_ for 1 .. 2000' 2>err
saved=(end-*.loft)
if [[ -e ${saved[0]} ]] && "$loft" check "${saved[0]}" >out 2>&1 && "$loft" stat "${saved[0]}" >out; then
    pass 'a heap saved at the end'
else
    fail 'a heap saved at the end' "$(cat err out)"
fi
# What nothing in the program leads to any more, and only that, is a leak.
if command -v cc >/dev/null; then
    cat >leak.c <<'END'
#include <stdlib.h>
#include <string.h>
static void *kept[100];
static void *hide(void *block) { __asm__ volatile("" : "+r"(block)); return block; }
__attribute__((noinline)) static void lose(void)
{
    for (int i = 0; i < 1000; i++) memset(hide(malloc(72)), 1, 72);
}
__attribute__((noinline)) static void wipe(void)
{
    volatile char stack[8192];
    for (int i = 0; i < 8192; i++) stack[i] = 0;
}
int main(void)
{
    for (int i = 0; i < 100; i++) kept[i] = malloc(5000);
    lose();
    wipe();
    return kept[3] == NULL;
}
END
    cc -O1 -o leak leak.c 2>err && LOFT_MALLOC_SNAPSHOT=$work/leak.loft with ./leak 2>>err
    "$loft" check --leaks leak.loft >out 2>>err || true
    # A few lost blocks may look held, by what a register or the stack happens to hold.
    lost=$(sed -n 's/^leaks: \([0-9,]*\),.*/\1/p' out | tr -d ,)
    if [[ -n $lost ]] && ((lost >= 990 && lost <= 1000)); then
        pass 'leaks of a program'
    else
        fail 'leaks of a program' "leaks: ${lost:-none told}; $(<err)"
    fi
else
    skip 'leaks of a program' 'cc is not installed'
fi
# A program that sets its title writes over the environment that named the path.
LOFT_MALLOC_SNAPSHOT=$work/title.loft with perl -e '$0 = "x" x 4000; my @a = map { "x" x $_ } 1 .. 500' 2>err
if [[ -e title.loft ]] && "$loft" check title.loft >out 2>&1; then
    pass 'a heap saved under another title'
else
    fail 'a heap saved under another title' "$(cat err)"
fi
# Not by the function: what is signalled must be the program, not a shell that waits for it.
LD_PRELOAD=$library LOFT_MALLOC_SIGNAL=USR2 LOFT_MALLOC_SNAPSHOT=$work/now.loft perl -e \
    'my @a = map { "x" x ($_ % 500) } 1 .. 50000; $| = 1; print "ready\n"; for (1 .. 600) { @a = map { $_ . "y" } @a; select undef, undef, undef, 0.01; last if -e "now.loft" } print -e "now.loft" ? "seen\n" : "late\n"' \
    >said 2>err &
program=$!
for ((i = 0; i < 500; i++)); do
    grep -q ready said 2>/dev/null && break
    sleep 0.02
done
kill -USR2 "$program"
wait "$program"
if grep -q seen said && "$loft" check now.loft >out 2>&1; then
    pass 'a heap saved at a signal'
else
    fail 'a heap saved at a signal' "$(cat said err out)"
fi

# --- real programs -----------------------------------------------------------------------------------

same bash bash -c 'f() { local i; for ((i = 0; i < 300; i++)); do x=$(echo "$i" | tr 0-9 a-j); s+=$x; done; echo "$s"; }; f; (f | md5sum); declare -A a; for i in {1..3000}; do a[$i]=$i$i; done; echo "${#a[@]}"'
same perl perl -e 'my %h; for (1 .. 60000) { push @{$h{$_ % 997}}, "v$_" } print join(",", map { scalar @{$h{$_}} } sort keys %h), "\n"'
same python3 python3 -c 'import json, hashlib, collections
d = {str(i): list(range(i % 50)) for i in range(20000)}
t = json.dumps(d); print(hashlib.sha256(t.encode()).hexdigest(), len(json.loads(t)))
q = collections.deque(maxlen=1000)
for i in range(200000): q.append((i, str(i)))
print(len(q), sorted(q)[0])'
if python3 -c 'import test.test_list' 2>/dev/null; then
    # The time that a run takes is in its output.
    if with python3 -m test -q test_list test_dict test_set test_deque test_gc test_bytes test_memoryview >out 2>&1; then
        pass 'python3, its own tests'
    else
        fail 'python3, its own tests' "$(tail -n 5 out)"
    fi
else
    skip 'python3, its own tests' 'libpython3-testsuite is not installed'
fi
same sqlite3 sqlite3 :memory: 'create table t(a integer primary key, b text); with recursive c(i) as (select 1 union all select i + 1 from c where i < 50000) insert into t select i, hex(i * 7919) from c; create index i on t(b); select count(*), sum(length(b)), max(b) from t; select a from t order by b desc limit 5;'
same git git -C "$root" log --stat --format=%H -n 50
same gcc gcc -std=gnu11 -D_GNU_SOURCE -O2 -S -o - -I"$root/include" -I"$root/src" "$root/src/heap/pages.c"
same node node -e 'const a = []; for (let i = 0; i < 200000; i++) a.push({i, s: "x" + i}); console.log(a.length, JSON.stringify(a.slice(-2)), Buffer.alloc(1 << 20).length)'
if command -v g++ >/dev/null; then
    cat >new.cpp <<'END'
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>
struct alignas(256) wide { char bytes[512]; };
int main()
{
    std::map<std::string, std::vector<int>> map;
    for (int i = 0; i < 20000; i++) map[std::to_string(i % 777)].push_back(i);
    auto wides = std::make_unique<wide[]>(10);
    std::printf("%zu %zu\n", map.size(), reinterpret_cast<std::uintptr_t>(wides.get()) % 256);
    try {
        volatile std::size_t all = SIZE_MAX / 2;
        char *none = new char[all];
        std::printf("%p\n", static_cast<void *>(none));
    } catch (const std::bad_alloc &) { std::puts("bad_alloc"); }
    std::printf("%d\n", new (std::nothrow) char[SIZE_MAX / 4] == nullptr);
}
END
    if g++ -std=c++17 -O1 -o new new.cpp 2>err; then same 'c++' ./new; else fail 'c++' "$(<err)"; fi
else
    skip 'c++' 'g++ is not installed'
fi
if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
    # Its heap, saved while it serves.
    redis_saved() {
        kill -USR2 "$server"
        for ((i = 0; i < 500; i++)); do [[ -e redis.loft ]] && break; sleep 0.02; done
        "$loft" check redis.loft >>out 2>&1
    }
    LD_PRELOAD=$library LOFT_MALLOC_SIGNAL=USR2 LOFT_MALLOC_SNAPSHOT=$work/redis.loft redis-server --port 0 --unixsocket "$work/redis" --save '' >redis.log 2>&1 &
    server=$!
    for ((i = 0; i < 200; i++)); do [[ -S redis ]] && break; sleep 0.05; done
    if redis-benchmark -s "$work/redis" -q -n 20000 -r 5000 -t set,get,lpush,lpop,sadd,hset >out 2>&1 &&
        [[ $(redis-cli -s "$work/redis" ping) == PONG ]] && redis_saved; then
        pass redis
    else
        fail redis "$(tail -n 3 out redis.log)"
    fi
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
else
    skip redis 'redis-server or redis-benchmark is not installed'
fi

echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
