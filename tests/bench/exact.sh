#!/usr/bin/env bash
# Counts the instructions and the system calls of fixed workloads, and the bytes
# of objects (exact.c), and compares them with the recorded figures (exact.txt).
# A difference of more than 3 % in either direction is a failure, so that every
# change is noticed.
#
#     usage: tests/bench/exact.sh BUILD-DIRECTORY [--update]
#
# --update records the present figures.  It is called by tests/run --exact,
# which makes a Release build.
#
# The instructions are those of the compiler, the processor and the libc that
# exact.txt names.  With others they are printed, but not compared.
set -eu

here=$(dirname "${BASH_SOURCE[0]}")
record=$here/exact.txt
short=1600 long=4800 # Multiples of what a workload does together.
objects=2000         # The number of each object.
margin=3             # In percent.

if [ $# -lt 1 ] || [ ! -e "$1/CMakeCache.txt" ]; then
    echo "usage: tests/bench/exact.sh BUILD-DIRECTORY [--update]" >&2
    exit 2
fi
dir=$1
program=$dir/tests/bench/aloop_exact
figures=$dir/exact.txt

# Prints the version of the compiler, the processor, and the version of libc,
# which has its own memcpy() for processors with AVX2.
compiler_of() { # BUILD-DIRECTORY
    local cc # It may have a second word, such as "ccache gcc".
    cc=$(sed -nE 's/^set\(CMAKE_C_COMPILER(_ARG1)? "(.*)"\)$/\2/p' \
        "$1"/CMakeFiles/*/CMakeCCompiler.cmake)
    # shellcheck disable=SC2086
    printf '%s %s%s %s\n' "$($cc -dM -E -x c /dev/null |
        sed -n 's/^#define __VERSION__ "\(.*\)"/\1/p')" "$(uname -m)" \
        "$(grep -qw avx2 /proc/cpuinfo && echo +avx2)" \
        "$(getconf GNU_LIBC_VERSION)"
}

# Prints the instructions and the system calls of one run.
count() { # WORKLOAD COUNT
    timeout 60 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --collect-systime=yes "$program" "$1" "$2" 2>&1 |
        sed -n 's/.* Collected : \([0-9]* [0-9]*\).*/\1/p'
}

# Prints WORKLOAD INSTRUCTIONS CALLS, of one unit of the work.
measure() { # WORKLOAD
    { count "$1" $short && count "$1" $long; } |
        awk -v name="$1" -v n=$((long - short)) '
            { instructions[NR] = $1; calls[NR] = $2 }
            END {
                if (NR == 2)
                    printf "%s %.1f %.3f\n", name,
                        (instructions[2] - instructions[1]) / n,
                        (calls[2] - calls[1]) / n
            }'
}
export -f count measure
export program short long

cmake --build "$dir" --target aloop_exact >/dev/null
workloads=$("$program" --list)
bytes=$("$program" --bytes $objects | sed 's/ / - /') # In place of the calls.
{
    echo "$bytes"
    printf '%s\n' $workloads | xargs -P 2 -I '{}' bash -c 'measure {}'
} | sort >"$figures"
workloads+=$'\n'$(sed 's/ .*//' <<<"$bytes")
compiler=$(compiler_of "$dir")

if [ "${2:-}" = --update ]; then
    if [ "$(wc -l <"$figures")" != "$(wc -w <<<"$workloads")" ]; then
        echo "failed: not all workloads were measured; see $figures" >&2
        exit 1
    fi
    {
        echo "# What tests/run --exact counts for each unit of work:" \
            "instructions and system calls, or bytes."
        echo "compiler $compiler"
        cat "$figures"
    } >"$record"
    echo "recorded in $record"
    exit
fi

bash "$here/growth.sh" "$dir" | tee "$dir/growth.txt" | sed '$d'
awk -v compiler="$compiler" -v grown="$(tail -n 1 "$dir/growth.txt")" \
    -v workloads="$workloads" -v margin=$margin '
    # Compares a figure with what was recorded.
    function compare(name, what, is, was,    change) {
        if (was == "" || is == "") {
            printf "failed: %s: no figure %s\n", name,
                is == "" ? "was measured" : "is recorded"
            failed++
            return
        }
        change = was > 0 ? 100 * (is - was) / was : is > 0 ? 100 : 0
        if (change > margin || change < -margin) {
            printf "failed: %s: %s %s, and %s are recorded (%+.1f %%)\n", name,
                is, what, was, change
            failed++
        } else {
            passed++
        }
        if (change * change > largest * largest)
            largest = change
    }
    /^#/ { next }
    NR == FNR && $1 == "compiler" { recorded = substr($0, 10); next }
    rows[FILENAME, $1]++ || !index("\n" workloads "\n", "\n" $1 "\n") {
        printf "failed: %s: %s in %s\n", $1,
            (rows[FILENAME, $1] > 1 ? "another row" : "no such workload"),
            FILENAME
        failed++
        next
    }
    NR == FNR { instructions[$1] = $2; calls[$1] = $3; next }
    { present[$1] = $2; present_calls[$1] = $3 }
    END {
        split(grown, part, " ") # N passed, N failed, 0 skipped
        for (i = split(workloads, names); i > 0; i--) {
            name = names[i]
            if (present[name] == "-") {
                printf "%-16s %10s bytes\n", name, present_calls[name]
                if (recorded == compiler)
                    compare(name, "bytes", present_calls[name], calls[name])
                else
                    skipped++
                continue
            }
            printf "%-16s %10s instructions %8s system calls\n", name,
                present[name], present_calls[name]
            compare(name, "system calls", present_calls[name], calls[name])
            if (recorded == compiler)
                compare(name, "instructions", present[name],
                    instructions[name])
            else
                skipped++
        }
        if (skipped)
            printf "skipped: the recorded figures are those of %s, " \
                "and this is %s\n", recorded, compiler
        if (failed)
            print "If the change is intended: tests/run --exact --update"
        printf "exact: %d figures compared, the largest difference is " \
            "%+.1f %%\n", passed + failed, largest
        passed += part[1]
        failed += part[3]
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed > 0
    }' "$record" "$figures"
