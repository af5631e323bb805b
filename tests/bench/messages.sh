#!/usr/bin/env bash
# Counts the user instructions and the system calls of an echoed message of
# 64 B, one of 64 connections, for each peer.  Those of the client, a send and a
# receive, are included.
#
#     usage: tests/bench/messages.sh BUILD-DIRECTORY
#
# It is called by run.sh.
set -eu

program=$1/tests/bench/aloop_messages
short=640 long=1920

# Prints the instructions and the system calls of one run.
count() { # PEER WAY COUNT
    timeout 60 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --collect-systime=yes "$program" "$1" "$2" "$3" 2>&1 |
        sed -n 's/.* Collected : \([0-9]* [0-9]*\).*/\1/p'
}

measure() { # PEER WAY
    { count "$1" "$2" $short && count "$1" "$2" $long; } |
        awk -v name="$2 $1" -v n=$((long - short)) '
            { instructions[NR] = $1; calls[NR] = $2 }
            END {
                each = (instructions[2] - instructions[1]) / n
                if (NR == 2 && each > 1)
                    printf "%s %.1f %.3f\n", name, each,
                        (calls[2] - calls[1]) / n
            }'
}

for way in callback write task; do
    for peer in $("$program" --list); do
        [ $way = callback ] || [ "$peer" = aloop ] ||
            { [ $way = write ] && [ "$peer" = uv ]; } || continue
        measure "$peer" $way
    done
done | awk '
    BEGIN {
        print "\nEchoed message of 64 B, 64 connections, with its client: " \
            "user instructions"
        print "and system calls."
        printf "%-38s %9s %9s\n", "", "instr.", "calls"
    }
    { printf "%-38s %9.1f %9.3f\n", $1 ", " $2, $3, $4 }'
