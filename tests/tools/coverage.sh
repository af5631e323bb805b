#!/usr/bin/env bash
# Measures how much of src/ the tests reach: builds with gcc --coverage, runs
# the tests, and adds up the output of gcov.  The last line is
#
#     coverage: L% lines, B% branches
#
# Fails below the bars, if a test fails, and if the data contains nothing about
# a file of src/.
#
# No single build contains all of src/, so there are three builds.  Their union
# counts, by file, line and branch.  The first build runs all tests.  The others
# run only the tests that are linked with their own reactor and context switch,
# because the builds are the same above the seam.  Tests that run no code of
# this build are left out: those of the tree's rules, of the protocol model, and
# of the library as other projects build it.
#
# A branch is one exit of a condition, as gcc counts it without optimisation:
# `a && b` has four.  Assertions are compiled out, because no test should take
# the path on which one fails; all other builds of the tests contain them.  Code
# that runs only under a sanitizer or valgrind counts as not reached.
#
# A child process that calls _exit or kills itself would lose its counts, so
# both calls are wrapped and write the counts first.  If another signal ends a
# child, its counts are lost.  Each point of the torture is a child; each 31st
# point and each fifth seed of the simulation are enough, and so are the streams
# without a filter that passes single bytes.
#
# All reactors share a build, because most of their objects are the same.
#
# awk reads the text output of gcov.  gcov is installed with gcc, in the same
# version, and no other tool is needed.
set -u

usage() {
    cat <<'END_OF_USAGE'
usage: tests/tools/coverage.sh [--missing] [DIR]

Builds below DIR (default: build/coverage), runs the tests, and prints how much
of each file of src/ they reach.

  --missing   also print each line that was not reached, and each line with a
              branch that was not taken
END_OF_USAGE
}

. "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"

lines_min=95
branches_min=88
flags='--coverage -fprofile-abs-path -O0 -DNDEBUG'
elsewhere='^(tidy|tidy_test|classes|steps|backtrace|shadow_stack'
elsewhere+='|(consumer|protocol)_.*|.*_bytes|test_depth|sim|torture)$'
own='^(test_(context|(reactor|refusals|stack|sys)(_.*)?)|system_.*)$'

# Compiles an object that writes the counts before the process ends.
make_ends() { # FILE
    "$compiler" -c -x c -o "$1" - <<'END_OF_C'
#include <signal.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
int __real_raise(int number);
int __wrap_raise(int number);

int __wrap_raise(int number)
{
    if (number == SIGKILL)
        __gcov_dump();
    return __real_raise(number);
}

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
END_OF_C
}

# Builds with one reactor and one context switch.
build_for() { # REACTOR CONTEXT
    build_in "$build" "-DCMAKE_C_COMPILER=$compiler" \
        -DALOOP_TESTS=ON -DALOOP_EXAMPLES=OFF \
        "-DALOOP_REACTOR=$1" "-DALOOP_CONTEXT=$2" \
        -DCMAKE_BUILD_TYPE=Coverage "-DCMAKE_C_FLAGS=$flags" \
        "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--wrap=_exit,--wrap=raise $dir/ends.o" ||
        return 1
    find "$build" -name '*.gcda' -delete
}

run() { # CTEST-OPTION...
    step "running the tests" "$build/tests.log" ctest --test-dir "$build" \
        "-j$jobs" --output-on-failure --no-tests=error "$@"
}

# Adds the output of gcov for the objects of the library to gcov.txt.
annotate() {
    (cd "$build" &&
        find CMakeFiles/aloop_{core,os}.dir -name '*.gcda' -print0 |
        xargs -0 "${GCOV:-gcov}" -b -c -t) >>"$dir/gcov.txt" \
        2>"$dir/gcov.log" && return
    cat "$dir/gcov.log" >&2
    return 1
}

# Adds the counts up, and prints rows of file, line number and text, separated
# by tabs.  The row for a whole file has line number 0.  The row for all files
# sorts last.
sum_up() { # MISSING
    awk -v root="$root/" -v missing="$1" -v lines_min=$lines_min \
        -v branches_min=$branches_min '
        # Truncates, so that a value below the bar is not printed as the bar.
        function percent(part, whole) {
            return whole ? int(part * 1000 / whole) / 10 : 100
        }
        function row(file, at, text) {
            printf "%s\t%d\t%s\n", file, at, text
        }
        function sum(file,    at, i, l, l_hit, b, b_hit, untaken) {
            for (at = 1; at <= last[file]; at++) {
                if (!((file, at) in line))
                    continue
                untaken = 0
                for (i = 0; i <= most[file, at]; i++) {
                    if (!((file, at, i) in branch))
                        continue
                    b++
                    b_hit += branch[file, at, i]
                    untaken += !branch[file, at, i]
                }
                l++
                l_hit += line[file, at]
                if (missing && !line[file, at])
                    row(file, at, file ":" at ": not reached")
                else if (missing && untaken)
                    row(file, at, file ":" at ": branches not taken: " untaken)
            }
            row(file, 0, sprintf("%-30s %5d lines %5.1f%% %5d branches %5.1f%%",
                file, l, percent(l_hit, l), b, percent(b_hit, b)))
            lines += l
            lines_hit += l_hit
            branches += b
            branches_hit += b_hit
        }
        NR == FNR {
            wanted[$0]
            next
        }
        /^ *-: *0:Source:/ {
            file = $0
            sub(/^ *-: *0:Source:/, "", file)
            is_ours = index(file, root "src/") == 1
            file = substr(file, length(root) + 1)
            next
        }
        !is_ours { next }
        /^ *[^ :]+: *[1-9][0-9]*:/ {
            split($0, part, ":")
            count = part[1]
            at = part[2] + 0
            gsub(/[ *]/, "", count)
            if (count == "-")
                next
            line[file, at] = count > 0 || line[file, at]
            if (at > last[file])
                last[file] = at
            next
        }
        /^branch / {
            i = $2 + 0
            is_taken = $3 == "taken" && $4 > 0
            branch[file, at, i] = is_taken || branch[file, at, i]
            if (i > most[file, at])
                most[file, at] = i
        }
        END {
            for (file in last)
                sum(file)
            for (file in wanted)
                if (!(file in last)) {
                    row("~", 0, "coverage: there is no data about " file)
                    failed = 1
                }
            l = lines ? percent(lines_hit, lines) : 0
            b = branches ? percent(branches_hit, branches) : 0
            if (l < lines_min || b < branches_min) {
                row("~", 1, sprintf("coverage: below %d%% lines or %d%% " \
                    "branches", lines_min, branches_min))
                failed = 1
            }
            row("~", 2, sprintf("coverage: %.1f%% lines, %.1f%% branches",
                l, b))
            exit failed + 0
        }' <(cd "$root" && find src -name '*.c') "$dir/gcov.txt"
}

missing=0
dir=
for argument; do
    case $argument in
    --missing) missing=1 ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) dir=$argument ;;
    esac
done
dir=${dir:-$root/build/coverage}
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 1
compiler=gcc
need cc cmake ninja pkg-config cmocka
make_ends "$dir/ends.o" || exit 1
build=$dir/build
rm -f "$dir/gcov.txt"
build_for epoll asm || exit 1
step "torturing" "$dir/torture.log" \
    "$build/tests/torture" --every 31 --seconds 60 --jobs "$jobs" || exit 1
step "simulating" "$dir/sim.log" "$build/tests/sim_run" 60 || exit 1
run -E "$elsewhere" || exit 1
annotate || exit 1
build_targets=(system_tests)
build_for kqueue asm || exit 1
run -R "$own" || exit 1
annotate || exit 1
build_for poll ucontext || exit 1
run -R "$own" || exit 1
annotate || exit 1
set -o pipefail
sum_up $missing | LC_ALL=C sort -t $'\t' -k 1,1 -k 2,2n | cut -f 3
