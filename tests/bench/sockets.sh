#!/usr/bin/env bash
# Compares the example websocket_echo with a server of Python's websockets that
# does the same: messages per second of the server's CPU time, of 100 bytes and
# of 64 KiB, over 100 connections that each wait for their message.  Neither
# compresses.  Both are measured in turn, in one run.  The line of each size has
# the median.
#
#     usage: tests/bench/sockets.sh WEBSOCKET_ECHO SOCKETS [SECONDS [ROUNDS]]
#
# The programs are those of a release build, and each of 5 rounds takes 2
# seconds for each server and size.  It needs Linux, and websockets for
# /usr/bin/python3 (python3-websockets).
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
usage="usage: tests/bench/sockets.sh WEBSOCKET_ECHO SOCKETS [SECONDS [ROUNDS]]"
example=${1:?"$usage"}
load=${2:?"$usage"}
seconds=${3:-2}
rounds=${4:-5}
require "$example" "$load"
require_python websockets
cat >"$work/echo.py" <<'PYTHON'
import asyncio
import signal

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, stop.set_result, None)
    async with websockets.serve(
            echo, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on 127.0.0.1 port {port}", flush=True)
        await stop


asyncio.run(main())
PYTHON

# Ends the other server, too.
theirs=
end_theirs() {
    [ -z "$theirs" ] || { kill "$theirs" && wait "$theirs"; } || :
    finish
}
trap end_theirs EXIT

port_of() { # OUTPUT
    local i port=
    for ((i = 0; i < 200; i++)); do
        port=$(sed -n 's/^listening on .* port \([0-9]*\)$/\1/p' "$1")
        [ -z "$port" ] || break
        read -r -t 0.05 <> <(:) || :
    done
    echo "$port"
}

"$example" -p 0 >"$work/ours" &
ours=$!
/usr/bin/python3 "$work/echo.py" >"$work/theirs" &
theirs=$!
our_port=$(port_of "$work/ours")
their_port=$(port_of "$work/theirs")

ticks() { # PROCESS: user and system time, in ticks.
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# Prints the messages per CPU second of a process that serves a port.
rate() { # PROCESS PORT SIZE
    local before after messages
    before=$(ticks "$1")
    messages=$(timeout $((seconds + 60)) "$load" "ws://127.0.0.1:$2/" 100 "$3" \
        "$seconds")
    after=$(ticks "$1")
    awk -v n="$messages" -v ticks=$((after - before)) \
        -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.0f\n", n * hz / ticks }'
}

title
aims=(">= 5" ">= 2")
for size in 100 65536; do
    for ((i = 0; i < rounds; i++)); do
        other=$(rate "$theirs" "$their_port" "$size")
        own=$(rate "$ours" "$our_port" "$size")
        awk -v a="$own" -v b="$other" 'BEGIN { print a / b, a, b }'
    done | sort -n >"$work/rates"
    read -r own other extremes < <(awk -v middle=$(((rounds + 1) / 2)) '
        NR == 1 { least = $1 }
        NR == middle { figures = $2 " " $3 }
        END { printf "%s %.2f to %.2f\n", figures, least, $1 }' "$work/rates")
    row "$size B per CPU second" websocket_echo websockets "$own" "$other" \
        "${aims[0]}" "$extremes"
    aims=("${aims[@]:1}")
done
