#!/usr/bin/env bash
# Compares the example http_server with nginx and with aiohttp's server:
# requests per second of the server's CPU time, under wrk with 100 connections.
# nginx serves files of 1 KiB and 64 KiB, aiohttp the first file and a small
# JSON document.  Each has one process for the requests and no access log, and
# they are measured in turn, in one run.  Each line has the median.
#
#     usage: tests/bench/servers.sh HTTP_SERVER [SECONDS [ROUNDS]]
#
# HTTP_SERVER is that of a release build, and each of 5 rounds takes 2 seconds
# for each server and line.  It needs Linux, nginx and wrk, and for the lines of
# aiohttp /usr/bin/python3 with python3-aiohttp.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
example=${1:?"usage: tests/bench/servers.sh HTTP_SERVER [SECONDS [ROUNDS]]"}
seconds=${2:-2}
rounds=${3:-5}
require nginx wrk "$example"
mkdir "$work/www"
head -c 1024 /dev/urandom >"$work/www/1k.bin"
head -c 65536 /dev/urandom >"$work/www/64k.bin"
start_nginx
"$example" -p 0 "$work/www" >"$work/out" &
ours=$!
worker= port=
for ((i = 0; i < 100; i++)); do
    worker=$(cat "/proc/$nginx/task/$nginx/children" 2>/dev/null || :)
    worker=${worker%% *}
    port=$(sed -n 's/^listening on .* port \([0-9]*\)$/\1/p' "$work/out")
    [ -z "$worker" ] || [ -z "$port" ] || break
    read -r -t 0.05 <> <(:) || :
done

ticks() { # PROCESS: user and system time, in ticks.
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# Prints the requests per CPU second of a process that serves a port.
rate() { # PROCESS PORT FILE
    local before after requests
    before=$(ticks "$1")
    timeout $((seconds + 30)) wrk -t1 -c100 "-d${seconds}s" \
        "http://127.0.0.1:$2/$3" >"$work/wrk"
    after=$(ticks "$1")
    if grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2; then
        exit 1
    fi
    requests=$(awk '/requests in/ { print $1 }' "$work/wrk")
    awk -v n="$requests" -v ticks=$((after - before)) \
        -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.0f\n", n * hz / ticks }'
}

# Prints a line of the table.
compare() { # WORK PATH OTHER ITS-PROCESS ITS-PORT AIM
    local i own theirs extremes
    for ((i = 0; i < rounds; i++)); do
        theirs=$(rate "$4" "$5" "$2")
        own=$(rate "$ours" "$port" "$2")
        awk -v a="$own" -v b="$theirs" 'BEGIN { print a / b, a, b }'
    done | sort -n >"$work/rates"
    read -r own theirs extremes < <(awk -v middle=$(((rounds + 1) / 2)) '
        NR == 1 { least = $1 }
        NR == middle { figures = $2 " " $3 }
        END { printf "%s %.2f to %.2f\n", figures, least, $1 }' "$work/rates")
    row "$1 per CPU second" http_server "$3" "$own" "$theirs" "$6" "$extremes"
}

# Starts aiohttp's server for the same folder and endpoint, and sets $python,
# its process, and $python_port.  It has no uvloop, as Debian installs it, and
# reports each connection that wrk ends in the middle.
start_aiohttp() {
    local i
    cat >"$work/server.py" <<'PYTHON'
import sys
import time

from aiohttp import web

start = time.monotonic()
requests = 0


async def status(request):
    global requests
    requests += 1
    seconds = round(time.monotonic() - start, 1)
    return web.json_response({"requests": requests, "seconds": seconds})


app = web.Application()
app.router.add_get("/api/status", status)
app.router.add_static("/", sys.argv[1])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=None,
            print=None)
PYTHON
    python_port=$((nginx_port + 1))
    while (exec 3<>"/dev/tcp/127.0.0.1/$python_port") 2>/dev/null; do
        python_port=$((python_port + 1))
    done
    /usr/bin/python3 "$work/server.py" "$work/www" "$python_port" \
        2>"$work/aiohttp" &
    python=$!
    for ((i = 0; i < 200; i++)); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$python_port") 2>/dev/null || break
        read -r -t 0.05 <> <(:) || :
    done
}

title
compare 1k.bin 1k.bin nginx "$worker" "$nginx_port" ">= 1.2"
compare 64k.bin 64k.bin nginx "$worker" "$nginx_port" ">= 1.0"
if ! /usr/bin/python3 -c 'import aiohttp' 2>/dev/null; then
    echo "not found: aiohttp for /usr/bin/python3 (python3-aiohttp)" >&2
    exit
fi
start_aiohttp
trap 'kill "$python" && wait "$python" || :; finish' EXIT
for work_of in "1k.bin 1k.bin" "JSON api/status"; do
    compare "${work_of% *}" "${work_of#* }" "aiohttp's server" "$python" \
        "$python_port" ">= 10"
done
