#!/usr/bin/env bash
# Compares the bridges with the loops that other libraries bring along: libcurl
# with curl_multi_poll(), beside nginx, and c-ares with select(), beside
# dnsmasq.  The two ways run in turn, five times each, and the medians count.
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
    # libcurl ends and begins to watch a descriptor for each transfer, which are
    # two calls of epoll_ctl(); curl_multi_poll() has no use for them.
    row "transfers per CPU second" "curl_fetch()" "curl_multi_poll()" \
        "$(median aloop_transfers aloop)" "$(median aloop_transfers own)" \
        ">= 0.6"
fi
if [ -x "$1/aloop_names" ]; then
    alternate "$1/aloop_names" 20000 "$DNS_SERVER"
    row "look-ups per CPU second" "cares_resolve()" "c-ares, select()" \
        "$(median aloop_names aloop)" "$(median aloop_names own)" ">= 0.9"
fi
