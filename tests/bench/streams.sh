#!/usr/bin/env bash
# Compares the example http2_get with h2load: 10,000 pages of 10 KiB from
# nghttpd over 100 streams of one connection.  Both are measured in turn, in one
# run, and the row has the medians.
#
#     usage: tests/bench/streams.sh HTTP2_GET [ROUNDS]
#
# HTTP2_GET is that of a release build.  It needs nghttpd (nghttp2-server) and
# h2load (nghttp2-client).
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
example=${1:?"usage: tests/bench/streams.sh HTTP2_GET [ROUNDS]"}
rounds=${2:-9}
count=10000
require nghttpd h2load "$example"
mkdir "$work/www"
head -c 10240 /dev/zero | tr '\0' p >"$work/www/page"
port=$((20000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
done
nghttpd --no-tls -a 127.0.0.1 -d "$work/www" "$port" >"$work/nghttpd" &
ours=$! # This is ended with the script.
for ((i = 0; i < 100; i++)); do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    read -r -t 0.05 <> <(:) || :
done
url=http://127.0.0.1:$port/page

# Prints the requests per CPU second of a client.
rate() { # WORDS COMMAND...: the words are part of its output.
    local words=$1 used TIMEFORMAT='%3U %3S'
    shift
    used=$({ time timeout 120 "$@" >"$work/out"; } 2>&1)
    grep -q "$words" "$work/out" || {
        cat "$work/out" >&2
        exit 1
    }
    awk -v n=$count -v used="$used" 'BEGIN {
        split(used, part, " ")
        printf "%.0f\n", n / (part[1] + part[2]) }'
}

for ((i = 0; i < rounds; i++)); do
    theirs=$(rate "^requests:.* $count succeeded" \
        h2load -n $count -c 1 -m 100 "$url")
    own=$(rate "^$count of $count pages, " "$example" -n $count -m 100 "$url")
    awk -v a="$own" -v b="$theirs" 'BEGIN { print a / b, a, b }'
done >"$work/rates"
middle=$(((rounds + 1) / 2))
own=$(sort -n -k2 "$work/rates" | awk -v n=$middle 'NR == n { print $2 }')
theirs=$(sort -n -k3 "$work/rates" | awk -v n=$middle 'NR == n { print $3 }')
extremes=$(sort -n "$work/rates" | awk 'NR == 1 { least = $1 }
    END { printf "%.2f to %.2f\n", least, $1 }')
title
row "requests per CPU second" http2_get h2load "$own" "$theirs" ">= 0.7" \
    "$extremes"
