#!/usr/bin/env bash
# Measures the CPU time of work with 1,000 to 1,000,000 members (growth.c), and
# prints how much it grows from tenfold to tenfold.  growth.sh counts the
# instructions of the same work exactly, but with fewer members.  What grows
# here beyond the instructions are the costs of memory.
#
#     usage: tests/bench/members.sh BUILD-DIRECTORY
#
# It is called by run.sh.
set -euo pipefail

program=$1/tests/bench/aloop_growth

# Prints the smallest of several figures.
least() { # WORKLOAD COUNT
    local i runs=3
    [ "$2" -lt 1000000 ] || runs=1 # It takes long, and differs less.
    for ((i = 0; i < runs; i++)); do
        timeout 120 "$program" "$1" "$2"
    done | sort -n | sed -n 1p
}

# A condition has a task for each member, as group-cancel has, which shows the
# cost of a million stacks.
for workload in $("$program" --list | grep -vx condition); do
    figures=$workload
    for count in 1000 10000 100000 1000000; do
        figures+=" $(least "$workload" $count)"
    done
    echo "$figures"
done | awk '
    BEGIN {
        print "\nCPU ns of each member, its end included; and the growth for" \
            " each tenfold."
        printf "%-16s %9s %9s %9s %9s  %s\n", "work", "1 k", "10 k", "100 k",
            "1 M", "growth"
    }
    {
        printf "%-16s %9.1f %9.1f %9.1f %9.1f  %.1f %.1f %.1f\n", $1, $2, $3,
            $4, $5, 10 * $3 / $2, 10 * $4 / $3, 10 * $5 / $4
    }'
