#!/usr/bin/env bash
# Compares the bridge to Redis with hiredis in its own adapter for libuv, with
# hiredis without a loop, and with redis.asyncio: "INCR key" one by one, and
# 1,000 in flight at a time (in redis.asyncio, a pipeline), in one run beside
# one server.  The clients run in turn, each five times, and the medians of
# their CPU time are compared.
#
#     usage: tests/bench/databases_redis.sh COMMANDS
#
# COMMANDS is the program aloop_commands of a release build.  It needs Redis and
# time, and for the rows of redis.asyncio /usr/bin/python3 with python3-redis.
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
ways=(aloop libuv blocking)
! /usr/bin/python3 -c 'import redis.asyncio' 2>/dev/null || ways+=(python)
# Python is slow: fewer commands take as long.
declare -A one_by_one=([python]=20000) in_flight=([python]=100000)
cat >"$work/commands.py" <<'PYTHON'
import asyncio
import os
import sys

from redis.asyncio import Redis


async def main(count, batch):
    async with Redis(port=int(os.environ["REDIS_PORT"])) as redis:
        for _ in range(count // batch):
            if batch == 1:
                await redis.incr("key")
                continue
            async with redis.pipeline(transaction=False) as pipeline:
                for _ in range(batch):
                    pipeline.incr("key")
                await pipeline.execute()
        assert int(await redis.get("key")) == count


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
PYTHON
measure() { # WAY COUNT BATCH
    redis-cli -p "$REDIS_PORT" flushall >"$work/log"
    local client=("$commands" "$1")
    [ "$1" != python ] || client=(/usr/bin/python3 "$work/commands.py")
    timeout 120 /usr/bin/time -o "$work/$1-$3" -a -f '%U %S' \
        "${client[@]}" "$2" "$3"
}
for ((i = 0; i < runs; i++)); do
    for way in "${ways[@]}"; do
        measure "$way" "${one_by_one[$way]:-50000}" 1
        measure "$way" "${in_flight[$way]:-1000000}" 1000
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
        "$(rate aloop 50000 1)" "$(rate "$1" "${one_by_one[$1]:-50000}" 1)" \
        ">= $3"
    row "commands, 1,000 in flight" "redis_command()" "$2" \
        "$(rate aloop 1000000 1000)" \
        "$(rate "$1" "${in_flight[$1]:-1000000}" 1000)" ">= $4"
}
compare libuv "hiredis, libuv adapter" 1.2 1.1
compare blocking "hiredis, blocking" 0.9 0.6
if [ "${#ways[@]}" -eq 4 ]; then
    compare python "redis.asyncio" 5 5
else
    echo "databases_redis.sh: redis.asyncio is left out: no python3-redis" >&2
fi
