#!/usr/bin/env bash
# Runs tests/lua/host.c, a C program with several Lua states.
#
#   tests/lua/host.sh BUILD [HOST]          (HOST: the built program; none: there is no libluajit)
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
if [ $# -lt 2 ]; then
    echo 'skip lua_host: there is no libluajit (script/bootstrap installs it: libluajit-5.1-dev)'
    echo '0 passed, 0 failed, 1 skipped'
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/loft-test.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
cd "$work" || exit 1
LUA_PATH="$root/lua/?.lua;$1/lua/?.lua;;" "$2"
