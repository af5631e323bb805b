#!/usr/bin/env bash
# Compares the bridge to PostgreSQL with asyncpg: 10,000 queries
# "select $1::int" over a pool of 10 connections, in one run beside one server.
# Each client is measured three times, in turn, and the best of each counts.
#
#     usage: tests/bench/databases.sh QUERIES
#
# QUERIES is the program aloop_queries of a release build.  It needs PostgreSQL,
# asyncpg for /usr/bin/python3 (python3-asyncpg) and time.
set -eu
if [ -z "${POSTGRES_DATA:-}" ]; then
    exec "$BASH" "$(dirname "${BASH_SOURCE[0]}")/../programs/postgres.sh" \
        "$BASH" "$0" "$@"
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
queries=$1
count=10000
require "$queries" /usr/bin/time
require_python asyncpg
cat >"$work/pool.py" <<'PYTHON'
import asyncio
import sys

import asyncpg


async def main(count, is_held):
    numbers = iter(range(count))
    async with asyncpg.create_pool(min_size=10, max_size=10) as pool:

        async def ask(who):
            for n in numbers:
                assert await who.fetchval("select $1::int", n) == n

        async def worker():
            if is_held:
                async with pool.acquire() as connection:
                    await ask(connection)
            else:
                await ask(pool)

        await asyncio.gather(*(worker() for _ in range(10)))


asyncio.run(main(int(sys.argv[1]), sys.argv[2] == "held"))
PYTHON

run_aloop() { "${measure[@]}" "$queries" $count; }
run_aloop_like_asyncpg() { "${measure[@]}" "$queries" $count like-asyncpg; }
run_asyncpg() {
    "${measure[@]}" /usr/bin/python3 "$work/pool.py" $count pool
}
run_asyncpg_held() {
    "${measure[@]}" /usr/bin/python3 "$work/pool.py" $count held
}
for ((i = 0; i < 3; i++)); do
    for client in asyncpg aloop aloop_like_asyncpg asyncpg_held; do
        measure=(timeout 120 /usr/bin/time -o "$work/$client" -a -f '%U %S %M')
        "run_$client"
    done
done
rate() { # CLIENT: queries per CPU second.
    awk -v n=$count '{ rate = n / ($1 + $2 + 0.001) }
        rate > best { best = rate } END { printf "%.0f\n", best }' "$work/$1"
}
title
row "queries per CPU second" "pg_query()" "asyncpg, pool.fetchval()" \
    "$(rate aloop)" "$(rate asyncpg)" ">= 5"
row "queries per CPU second" "same, prepared, reset" \
    "asyncpg, pool.fetchval()" "$(rate aloop_like_asyncpg)" \
    "$(rate asyncpg)" ">= 5"
row "queries per CPU second" "pg_query()" "asyncpg, held" \
    "$(rate aloop)" "$(rate asyncpg_held)" ">= 5"
