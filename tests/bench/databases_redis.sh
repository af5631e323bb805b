#!/usr/bin/env bash
# Compares the bridge to Redis with hiredis in its own adapter for libuv, and
# with hiredis without a loop: "INCR key" one by one, and 1,000 in flight at a
# time, in one run beside one server.  The clients run in turn, each five times,
# and the medians of their CPU time are compared.
#
#     usage: tests/bench/databases_redis.sh COMMANDS
#
# COMMANDS is the program aloop_commands of a release build.  It needs Redis and
# time.
set -eu
if [ -z "${REDIS_PORT:-}" ]; then
    exec "$BASH" "$(dirname "${BASH_SOURCE[0]}")/../programs/redis.sh" \
        "$BASH" "$0" "$@"
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
commands=$1
require "$commands" /usr/bin/time redis-cli
runs=5
measure() { # WAY COUNT BATCH
    redis-cli -p "$REDIS_PORT" flushall >"$work/log"
    timeout 120 /usr/bin/time -o "$work/$1-$3" -a -f '%U %S' \
        "$commands" "$1" "$2" "$3"
}
for ((i = 0; i < runs; i++)); do
    for way in aloop libuv blocking; do
        measure $way 50000 1
        measure $way 1000000 1000
    done
done
rate() { # WAY COUNT BATCH: commands per CPU second.
    awk '{ print $1 + $2 }' "$work/$1-$3" | sort -n |
        awk -v n="$2" '{ all[NR] = $1 }
            END { printf "%.0f\n", n / (all[int((NR + 1) / 2)] + 0.001) }'
}
title
compare() { # WAY NAME AIM AIM-IN-FLIGHT
    row "commands, one by one" "redis_command()" "$2" \
        "$(rate aloop 50000 1)" "$(rate "$1" 50000 1)" ">= $3"
    row "commands, 1,000 in flight" "redis_command()" "$2" \
        "$(rate aloop 1000000 1000)" "$(rate "$1" 1000000 1000)" ">= $4"
}
compare libuv "hiredis, libuv adapter" 1.2 1.1
compare blocking "hiredis, blocking" 0.9 0.6
