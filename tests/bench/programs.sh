#!/usr/bin/env bash
# Compares the examples with the programs that people use for the same work, and
# prints one table.  The scripts that it runs explain what is compared.
# Figures are for each second of CPU time; higher is better, except for memory
# and sleeps.
#
#     usage: tests/bench/programs.sh BUILD-DIRECTORY
#
# It is called by tests/run --bench-programs, which makes a Release build.  The
# rows of a program that is not installed are left out, with its name.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
[ -x "${1:-}/examples/scrape" ] || {
    echo "usage: tests/bench/programs.sh BUILD-DIRECTORY" >&2
    exit 2
}
result=0
run() { # SCRIPT PROGRAM...
    WITHOUT_TITLE=1 bash "$here/$1" "${@:2}"
    case $? in
    0) ;;
    77) echo "$1: its rows are left out" >&2 ;;
    *) result=1 ;;
    esac
}
title
run clients.sh "$1/examples/scrape"
run servers.sh "$1/examples/http_server"
if [ -x "$1/tests/bench/aloop_queries" ]; then
    run databases.sh "$1/tests/bench/aloop_queries"
else
    echo "databases.sh: its rows are left out, because there is no libpq" >&2
fi
run sockets.sh "$1/examples/websocket_echo" "$1/tests/bench/aloop_sockets"
run bridges.sh "$1/tests/bench"
run hosted.sh "$1/tests/bench/aloop_hosted"
if [ -x "$1/examples/bridges/http2_get" ]; then
    run streams.sh "$1/examples/bridges/http2_get"
else
    echo "streams.sh: its rows are left out, because there is no libnghttp2" >&2
fi
if [ -x "$1/tests/bench/aloop_commands" ]; then
    run databases_redis.sh "$1/tests/bench/aloop_commands"
else
    echo "databases_redis.sh: its rows are left out: no hiredis or libuv" >&2
fi
if [ -e "$1/examples/bridges/redis_module.so" ] &&
    [ -e "$1/examples/bridges/nginx/objs/ngx_http_aloop_module.so" ]; then
    run modules.sh "$1"
else
    echo "modules.sh: its rows are left out: no nginx-dev or redis-server" >&2
fi
exit $result
