#!/usr/bin/env bash
# Counts the user instructions and the system calls of an echoed message of
# 64 B, one of 64 connections, for each peer: those of the service alone, that
# is of a turn of its loop, and those with the client, which sends and receives.
#
#     usage: tests/bench/messages.sh BUILD-DIRECTORY
#
# It is called by run.sh.
set -eu

program=$1/tests/bench/aloop_messages
short=640 long=1920

# Prints the instructions and the system calls of one run, in which valgrind has
# the options.
count() { # PEER WAY COUNT OPTION...
    timeout 60 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --collect-systime=yes "${@:4}" "$program" "$1" "$2" "$3" 2>&1 |
        sed -n 's/.* Collected : \([0-9]* [0-9]*\).*/\1/p'
}

# The functions of exchange_*.c that make a turn.
service=(--toggle-collect=peer_turn --toggle-collect=hand_turn)

measure() { # PEER WAY
    {
        count "$1" "$2" $short "${service[@]}" &&
            count "$1" "$2" $long "${service[@]}" &&
            count "$1" "$2" $short && count "$1" "$2" $long
    } | awk -v name="$2 $1" -v n=$((long - short)) '
        { instructions[NR] = $1; calls[NR] = $2 }
        END {
            each = (instructions[4] - instructions[3]) / n
            if (NR == 4 && each > 1)
                printf "%s %.1f %.1f %.3f\n", name,
                    (instructions[2] - instructions[1]) / n, each,
                    (calls[4] - calls[3]) / n
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
        print "\nEchoed message of 64 B, 64 connections: user instructions " \
            "of the service alone,"
        print "and with its client, and the system calls of both."
        printf "%-38s %9s %9s %9s\n", "", "service", "both", "calls"
    }
    { printf "%-38s %9.1f %9.1f %9.3f\n", $1 ", " $2, $3, $4, $5 }'
