#!/usr/bin/env bash
# Compares the bridges with the loops that other libraries bring along: libcurl
# with curl_multi_poll(), beside nginx, and c-ares with select(), beside
# dnsmasq; and with aiodns, if python3-aiodns is installed.  The first two ways
# run in turn, all run five times, and the medians count.
#
#     usage: tests/bench/bridges.sh DIRECTORY
#
# DIRECTORY has the programs aloop_transfers and aloop_names of a release build.
# The rows of a program that was not built are left out.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${DNS_SERVER:-}" ] && [ -x "$1/aloop_names" ]; then
    exec "$BASH" "$here/../programs/dnsmasq.sh" "$BASH" "$0" "$@"
fi
. "$here/programs_common.sh"
require nginx
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' p >"$work/www/page"
start_nginx

cat >"$work/names.py" <<'PYTHON'
import asyncio
import resource
import sys

import aiodns


async def main(count, server):
    host, port = server.rsplit(":", 1)
    resolver = aiodns.DNSResolver(
        nameservers=[host], udp_port=int(port), timeout=0.5, tries=10)
    numbers = iter(range(count))

    async def worker():
        for n in numbers:
            assert await resolver.query(f"n{n % 300}.test.", "A")

    await asyncio.gather(*(worker() for _ in range(50)))


count = int(sys.argv[1])
asyncio.run(main(count, sys.argv[2]))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(round(count / (usage.ru_utime + usage.ru_stime)))
PYTHON

# Runs a program in both ways.
alternate() { # NAME COMMAND-AFTER-THE-WAY...
    local program=$1 i way
    shift
    for ((i = 0; i < 5; i++)); do
        for way in own aloop; do
            timeout 120 "$program" $way "$@" >>"$work/${program##*/}_$way"
        done
    done
}

median() { # PROGRAM WAY
    sort -n "$work/$1_$2" | sed -n 3p
}

title
if [ -x "$1/aloop_transfers" ]; then
    alternate "$1/aloop_transfers" 10000 "http://127.0.0.1:$nginx_port/page"
    # libcurl ends and begins to watch a descriptor for each transfer.  The loop
    # makes one call of epoll_ctl() of that, which shows that the number still
    # belongs to the same descriptor; curl_multi_poll() has no use for it.
    row "transfers per CPU second" "curl_fetch()" "curl_multi_poll()" \
        "$(median aloop_transfers aloop)" "$(median aloop_transfers own)" \
        ">= 0"
fi
if [ -x "$1/aloop_names" ]; then
    alternate "$1/aloop_names" 20000 "$DNS_SERVER"
    row "look-ups per CPU second" "cares_resolve()" "c-ares, select()" \
        "$(median aloop_names aloop)" "$(median aloop_names own)" ">= 0.9"
    if /usr/bin/python3 -c 'import aiodns' 2>/dev/null; then
        for ((i = 0; i < 5; i++)); do
            timeout 120 /usr/bin/python3 "$work/names.py" 20000 "$DNS_SERVER" \
                >>"$work/aloop_names_aiodns"
        done
        # Both spend most of the time in c-ares: its own loop with select() is
        # only 2.3 times as fast as aiodns.
        row "look-ups per CPU second" "cares_resolve()" "aiodns" \
            "$(median aloop_names aloop)" "$(median aloop_names aiodns)" \
            ">= 1.8"
    else
        echo "bridges.sh: aiodns is left out: no python3-aiodns" >&2
    fi
fi
