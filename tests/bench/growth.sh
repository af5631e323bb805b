#!/usr/bin/env bash
# Counts the instructions of work with 1,000, 10,000 and 100,000 members
# (growth.c), and prints how much they grow for each tenfold.  Work whose cost
# grows much faster than the number of members is a failure.
#
#     usage: tests/bench/growth.sh BUILD-DIRECTORY
#
# It is called by exact.sh.  The cost is that of the additional members.  The
# library must not report its stacks to valgrind (-DNVALGRIND), which would keep
# them in a list and search it.
set -eu

if [ $# != 1 ] || [ ! -e "$1/CMakeCache.txt" ]; then
    echo "usage: tests/bench/growth.sh BUILD-DIRECTORY" >&2
    exit 2
fi
program=$1/tests/bench/aloop_growth
bar=13 # Times the cost; one with its square grows 100 times.

# Prints WORKLOAD and the instructions for each number of members.  This tool
# counts them as exactly as callgrind does, which takes long with many stacks.
measure() { # WORKLOAD
    local count figures=$1
    for count in 1000 10000 100000; do
        figures+=" $(timeout 60 valgrind --tool=cachegrind --cache-sim=no \
            --cachegrind-out-file=/dev/null "$program" "$1" $count 2>&1 |
            sed -n 's/.* I *refs: *//p' | tr -d ,)"
    done
    echo "$figures"
}
export -f measure
export program

cmake --build "$1" --target aloop_growth >/dev/null
"$program" --list | xargs -P 2 -I '{}' bash -c 'measure {}' | sort |
    awk -v bar=$bar '
        NF != 4 {
            printf "failed: %s: it ended with an error, or took too long\n", $1
            failed++
            next
        }
        {
            first = ($3 - $2) / 9000
            second = ($4 - $3) / 90000
            growth = 10 * second / first
            printf "%-16s %10.1f %10.1f instructions a member, " \
                "%5.1f for each tenfold\n", $1, first, second, growth
            if (growth > bar) {
                printf "failed: %s: more than %d for each tenfold\n", $1, bar
                failed++
            } else {
                passed++
            }
        }
        END {
            printf "%d passed, %d failed, 0 skipped\n", passed, failed
            exit failed > 0 || passed == 0
        }'
