#!/usr/bin/env bash
# Compares the loop inside the loops of others with its own aloop_run(): echo
# round trips over TCP, with a client in the same loop and with one in another
# process, and five sleeps of 10 ms.  Each way is measured five times, in turn;
# the best of each counts for the round trips, and the median for the sleeps.
#
#     usage: tests/bench/hosted.sh HOSTED
#
# HOSTED is the program aloop_hosted of a release build.  Libraries that it was
# built without are left out.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/programs_common.sh"
hosted=$1
trips=20000
require "$hosted" timeout
ways=$("$hosted" --list)
for ((i = 0; i < 5; i++)); do
    for way in $ways; do
        timeout 120 "$hosted" "$way" $trips >>"$work/$way"
        timeout 120 "$hosted" "$way" $trips remote >>"$work/${way}_remote"
    done
done
rate() { # WAY: round trips per CPU second.
    awk '{ rate = 1e9 / $1 } rate > best { best = rate }
        END { printf "%.0f\n", best }' "$work/$1"
}
sleeps() { # WAY: the time of the sleeps in milliseconds.
    sort -k 2 -n "$work/$1" | awk 'NR == 3 { printf "%.2f\n", $2 / 1000 }'
}
title
trip_rows() { # WORK SUFFIX
    local way
    for way in $ways; do
        case $way in
        own) ;;
        *-inside)
            row "$1" "with ${way%-inside} inside" "own loop" \
                "$(rate "$way$2")" "$(rate "own$2")" ">= 0"
            ;;
        *)
            row "$1" "in a loop of $way" "own loop" "$(rate "$way$2")" \
                "$(rate "own$2")" ">= 0.77"
            ;;
        esac
    done
}
trip_rows "round trips per CPU s" ""
trip_rows "the same, other process" _remote
for way in $ways; do
    [ "$way" = own ] || row "ms of 5 sleeps of 10 ms" "$way" "own loop" \
        "$(sleeps "$way")" "$(sleeps own)" "<= 1.1"
done
