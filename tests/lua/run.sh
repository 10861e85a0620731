#!/usr/bin/env bash
# Runs tests of the LuaJIT binding and ends with the line that all tests end with.
#
#   tests/lua/run.sh BUILD LIBRARY CC SPEC...
#
# BUILD has lua/loft/cdef.lua and where.lua, LIBRARY is libloft, CC a C compiler. Each run works in a folder of its own.
# LOFT_TEST_PRELOAD is preloaded into luajit: the sanitizers' library, where libloft needs it.
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=$1 library=$2 cc=$3
shift 3

skip() {
    echo "skip ${LOFT_TEST_NAME:-lua}: $*"
    echo '0 passed, 0 failed, 1 skipped'
    exit 77
}
luajit=$(command -v luajit) || skip 'there is no luajit (script/bootstrap installs it)'
command -v busted >/dev/null || skip 'there is no busted (script/bootstrap installs it: lua-busted)'

work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
specs=()
for spec in "$@"; do
    specs+=("$root/tests/lua/$spec")
done
export LUA_PATH="$root/lua/?.lua;$build/lua/?.lua;$root/tests/lua/?.lua;;"
export LOFT_LUAJIT="$luajit" LOFT_TEST_SOURCE="$root" LOFT_TEST_BUILD="$build" LOFT_TEST_LIBRARY="$library" LOFT_TEST_CC="$cc"
export TMPDIR="$work"
# Programs that a test kills leave no core.
ulimit -c 0
cd "$work" || exit 1

status=0
env ${LOFT_TEST_PRELOAD:+LD_PRELOAD="$LOFT_TEST_PRELOAD"} \
    busted --lua="$luajit" -o TAP "${specs[@]}" >out 2>&1 || status=$?
awk '/^not ok / { failed++; sub(/^not ok [0-9]+ - /, "FAIL "); print; next }
     /^ok [0-9]+ - # SKIP / { skipped++; sub(/^ok [0-9]+ - # SKIP /, "skip "); print; next }
     /^ok / { passed++; sub(/^ok [0-9]+ - /, "pass "); print; next }
     /^1\.\.[0-9]+$/ { ended = 1; next }
     { print }
     END {
         # A run that was cut off, or that has nothing in it, is a failure.
         if (!ended || passed + failed + skipped == 0 || (status != 0 && failed == 0)) {
             print "FAIL the run ended with status " status
             failed++
         }
         print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
         exit failed > 0 ? 1 : passed == 0 ? 77 : 0
     }' status="$status" out
