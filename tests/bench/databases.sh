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
queries=$1
count=10000
for tool in "$queries" /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "not found: $tool" >&2; exit 1; }
done
/usr/bin/python3 -c 'import asyncpg' || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX")
trap 'rm -rf "$work"' EXIT
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

clients=(asyncpg aloop aloop_like_asyncpg asyncpg_held)
words_aloop='pg_query()'
words_aloop_like_asyncpg='the same, prepared and reset'
words_asyncpg='asyncpg, pool.fetchval()'
words_asyncpg_held='asyncpg, connections held'
run_aloop() { "${measure[@]}" "$queries" $count; }
run_aloop_like_asyncpg() { "${measure[@]}" "$queries" $count like-asyncpg; }
run_asyncpg() {
    "${measure[@]}" /usr/bin/python3 "$work/pool.py" $count pool
}
run_asyncpg_held() {
    "${measure[@]}" /usr/bin/python3 "$work/pool.py" $count held
}
for ((i = 0; i < 3; i++)); do
    for client in "${clients[@]}"; do
        measure=(timeout 120 /usr/bin/time -o "$work/$client" -a -f '%U %S %M')
        "run_$client"
    done
done
printf '%-28s  %21s  %10s  %s\n' client 'queries per CPU second' \
    'of asyncpg' 'peak memory'
for client in "${clients[@]}"; do
    words=words_$client
    awk -v client="${!words}" -v count=$count -v asyncpg="${rate:-}" '
        { rate = count / ($1 + $2 + 0.001) }
        rate > best { best = rate }
        { peak = $3 > peak ? $3 : peak }
        END { printf "%-28s  %21d  %10.2f  %.1f MiB\n", client, best,
                  best / (asyncpg ? asyncpg : best), peak / 1024 }
    ' "$work/$client" | tee "$work/row"
    [ "$client" != asyncpg ] ||
        rate=$(sed -E 's/.*\(\)  *([0-9]+) .*/\1/' "$work/row")
done
