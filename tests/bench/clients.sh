#!/usr/bin/env bash
# Compares the example scrape with aiohttp's session and curl --parallel: 10,000
# pages of 1 KiB from nginx over 100 connections, in one run.  Each client is
# measured three times, in turn, and the best of each counts.
#
#     usage: tests/bench/clients.sh [SCRAPE]
#
# SCRAPE is that of examples/run by default.  It needs nginx, curl, aiohttp for
# /usr/bin/python3 (python3-aiohttp) and time.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scrape=${1:-$root/build/examples/examples/scrape}
count=10000
PATH=$PATH:/usr/sbin:/usr/local/sbin
for tool in nginx curl "$scrape" /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "not found: $tool" >&2; exit 1; }
done
/usr/bin/python3 -c 'import aiohttp' || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX")
server=
finish() {
    [ -z "$server" ] || { kill -QUIT "$server" && wait "$server"; } || :
    rm -rf "$work"
}
trap finish EXIT

port=$((20000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
done
url=http://127.0.0.1:$port/page
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' p >"$work/www/page"
[ "$(id -u)" != 0 ] || echo 'user root;' >"$work/conf"
cat >>"$work/conf" <<CONF
daemon off;
worker_processes 1;
pid $work/pid;
error_log $work/error;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$port;
        root $work/www;
    }
}
CONF
nginx -e "$work/error" -c "$work/conf" &
server=$!
for ((i = 0; i < 100; i++)); do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    read -r -t 0.05 <> <(:) || :
done

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

clients=(scrape aiohttp curl)
run_scrape() { "${measure[@]}" "$scrape" -n 100 "${urls[@]}"; }
run_aiohttp() {
    "${measure[@]}" /usr/bin/python3 "$work/session.py" "$url" "$count"
}
run_curl() {
    "${measure[@]}" curl -s --no-progress-meter --parallel --parallel-max 100 \
        -o /dev/null "$url?[1-$count]"
}
for ((i = 0; i < 3; i++)); do
    for client in "${clients[@]}"; do
        measure=(timeout 120 /usr/bin/time -o "$work/$client" -a -f '%U %S %M')
        "run_$client" >"$work/out"
    done
done
printf '%-8s  %22s  %s\n' client 'requests per CPU second' 'peak memory'
for client in "${clients[@]}"; do
    awk -v client="$client" -v count="$count" '
        { rate = count / ($1 + $2 + 0.001) }
        rate > best { best = rate }
        { peak = $3 > peak ? $3 : peak }
        END { printf "%-8s  %22d  %.1f MiB\n", client, best, peak / 1024 }
    ' "$work/$client"
done
