#!/usr/bin/env bash
# Compares the example scrape with aiohttp's session and curl --parallel: 10,000
# pages of 1 KiB from nginx over 100 connections, in one run.  Each client is
# measured three times, in turn, and the best of each counts.
#
#     usage: tests/bench/clients.sh SCRAPE
#
# SCRAPE is that of a release build.  It needs nginx, curl, aiohttp for
# /usr/bin/python3 (python3-aiohttp) and time.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
scrape=${1:?"usage: tests/bench/clients.sh SCRAPE"}
count=10000
require nginx curl "$scrape" /usr/bin/time
require_python aiohttp
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' p >"$work/www/page"
start_nginx
url=http://127.0.0.1:$nginx_port/page

cat >"$work/session.py" <<'PYTHON'
import asyncio
import sys

import aiohttp


async def main(url, count):
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker():
            for _ in numbers:
                async with session.get(url) as reply:
                    assert len(await reply.read()) == 1024

        await asyncio.gather(*(worker() for _ in range(100)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
PYTHON
urls=()
for ((i = 0; i < count; i++)); do
    urls+=("$url")
done

run_scrape() { "${measure[@]}" "$scrape" -n 100 "${urls[@]}"; }
run_aiohttp() {
    "${measure[@]}" /usr/bin/python3 "$work/session.py" "$url" "$count"
}
run_curl() {
    "${measure[@]}" curl -s --no-progress-meter --parallel --parallel-max 100 \
        -o /dev/null "$url?[1-$count]"
}
for ((i = 0; i < 3; i++)); do
    for client in scrape aiohttp curl; do
        measure=(timeout 120 /usr/bin/time -o "$work/$client" -a -f '%U %S %M')
        "run_$client" >"$work/out"
    done
done
rate() { # CLIENT: requests per CPU second.
    awk -v n=$count '{ rate = n / ($1 + $2 + 0.001) }
        rate > best { best = rate } END { printf "%.0f\n", best }' "$work/$1"
}
peak() { # CLIENT: memory in KiB.
    awk '$3 > peak { peak = $3 } END { print peak }' "$work/$1"
}
title
row "pages per CPU second" scrape "aiohttp's session" \
    "$(rate scrape)" "$(rate aiohttp)" ">= 10"
row "peak memory, KiB" scrape "aiohttp's session" \
    "$(peak scrape)" "$(peak aiohttp)" "<= 0.25"
row "pages per CPU second" scrape "curl --parallel" \
    "$(rate scrape)" "$(rate curl)" ">= 3"
