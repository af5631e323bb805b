#!/usr/bin/env bash
# Compares the example http_server with nginx: requests per second of the
# server's CPU time, for files of 1 KiB and 64 KiB, under wrk with 100
# connections.  Both have one process for the requests and no access log, and
# are measured in turn, in one run.  The line of each file has the median.
#
#     usage: tests/bench/servers.sh HTTP_SERVER [SECONDS [ROUNDS]]
#
# HTTP_SERVER is that of a release build, and each of 5 rounds takes 2 seconds
# for each server and file.  It needs Linux, nginx and wrk.
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

title
aims=(">= 1.2" ">= 1.0")
for file in 1k.bin 64k.bin; do
    for ((i = 0; i < rounds; i++)); do
        theirs=$(rate "$worker" "$nginx_port" "$file")
        own=$(rate "$ours" "$port" "$file")
        awk -v a="$own" -v b="$theirs" 'BEGIN { print a / b, a, b }'
    done | sort -n >"$work/rates"
    read -r own theirs extremes < <(awk -v middle=$(((rounds + 1) / 2)) '
        NR == 1 { least = $1 }
        NR == middle { figures = $2 " " $3 }
        END { printf "%s %.2f to %.2f\n", figures, least, $1 }' "$work/rates")
    row "$file per CPU second" http_server nginx "$own" "$theirs" \
        "${aims[0]}" "$extremes"
    aims=("${aims[@]:1}")
done
