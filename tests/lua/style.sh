#!/usr/bin/env bash
# Lua files are clean for luacheck, their comments are whole for LDoc, and the declarations are what the headers say.
#
#   tests/lua/style.sh CMAKE -DCC=... -DINCLUDE=... -DVERSION=... -DOUT=...     (as lua/cdef.cmake takes them)
#
# Each check first proves on a planted fault that it would see one.
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
passed=0 failed=0 skipped=0

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        passed=$((passed + 1))
        echo "pass $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        cat "$work/out"
    fi
}
skip() { # NAME REASON
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}
not() { ! "$@"; }

lint() { luacheck --quiet --config "$root/.luacheckrc" "$@"; }
if command -v luacheck >/dev/null; then
    echo 'local unused = nobody' >"$work/bad.lua"
    check luacheck_sees_faults not lint "$work/bad.lua"
    cd "$root" || exit 1
    check luacheck lint lua tests/lua bench/lua examples/lua
else
    skip luacheck 'there is no luacheck (script/bootstrap installs it: lua-check)'
fi

# LDoc ends with 0 whatever it finds; what it has to say it says to standard error.
document() { # FOLDER
    ldoc --config "$1/config.ld" --dir "$work/pages" "$1" >"$work/ldoc" 2>&1 || return 1
    not grep -E 'warning|error|unknown|undocumented|unresolved|reference not found|:[0-9]+:' "$work/ldoc" || return 1
    test -s "$work/pages/index.html"
}
if command -v ldoc >/dev/null; then
    mkdir "$work/bad"
    cp "$root/lua/config.ld" "$work/bad"
    printf -- '--- A module.\n-- @module bad\n--- Sees @{nothing.at_all}.\nlocal function f() end\nreturn { f = f }\n' >"$work/bad/bad.lua"
    check ldoc_sees_faults not document "$work/bad"
    check ldoc document "$root/lua"
else
    skip ldoc 'there is no ldoc (script/bootstrap installs it: lua-ldoc)'
fi

cmake=$1
shift
for argument in "$@"; do
    case $argument in -DOUT=*) out=${argument#-DOUT=} ;; esac
done
check cdef_is_of_the_headers "$cmake" "$@" -DCHECK=1 -P "$root/lua/cdef.cmake"
mkdir "$work/cdef"
sed 's/size_t bytes/int bytes/' "$out" >"$work/cdef/cdef.lua"
check cdef_sees_differences not "$cmake" "$@" "-DOUT=$work/cdef/cdef.lua" -DCHECK=1 -P "$root/lua/cdef.cmake"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
