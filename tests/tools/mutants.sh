#!/usr/bin/env bash
# Applies each fault of tests/tools/mutants.txt to a copy of the tree, one at a
# time, builds the copy, and prints which tests fail.  The unit tests of the
# fault's folder run first, with those that the table names.  All unit tests run
# only if none of those fails, and all tests only if no unit test fails.  With
# --all, all tests run for each fault.  A fault counts as failed if no test
# catches it, if it does not apply or if it does not compile.  A test that only
# exceeds its time limit has not caught a fault, unless the fault hangs
# according to the table.
#
#     usage: tests/tools/mutants.sh DIR [CMAKE-OPTION...] [-- [--all] NAME...]
set -u
. "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"
dir=$1
shift
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
[ $# = 0 ] || shift
rounds='folder unit all'
if [ "${1:-}" = --all ]; then
    rounds=all
    shift
fi
table=$root/tests/tools/mutants.txt
tree=$dir/tree
kinds='unit system programs torture sim fuzz'
# Tests that do not run the library's code, or take too long; those of the
# bridges are left out, too.
left_out='^(tidy|tidy_test|classes|steps|backtrace|shadow_stack|soak'
left_out+='|(consumer|protocol|stress|bench)_.*)$'

# Prints FILE with the lines of the fault NAME replaced.  Fails unless they
# occur in FILE exactly once.
mutated() { # NAME FILE
    awk -v name="$1" '
        FNR == 1 { file++ }
        file == 1 && /^[a-z]/ { is_meant = $1 == name }
        file == 1 && is_meant && /^-/ { old[++olds] = substr($0, 2) }
        file == 1 && is_meant && /^\+/ { new[++news] = substr($0, 2) }
        file == 2 { line[++lines] = $0 }
        function is_at(i, k) {
            for (k = 1; k <= olds; k++)
                if (line[i + k - 1] != old[k])
                    return 0
            return 1
        }
        END {
            for (i = 1; i <= lines - olds + 1; i++)
                if (is_at(i)) {
                    at = i
                    found++
                }
            if (olds == 0 || found != 1)
                exit 1
            for (i = 1; i < at; i++)
                print line[i]
            for (i = 1; i <= news; i++)
                print new[i]
            for (i = at + olds; i <= lines; i++)
                print line[i]
        }' "$table" "$2"
}

# Prints each kind of tests in which a test failed, or in which a test exceeded
# its time limit, with the name of the first one and the number of the others.
kinds_of() { # failed|timed-out
    awk -v kinds="$kinds" -v wanted="$1" '
        function kind_of(name) {
            if (name ~ /^test_/)
                return "unit"
            if (name ~ /^(program|example)_/)
                return "programs"
            sub(/_.*/, "", name)
            return name
        }
        $2 == "Test" && /\*\*\*/ && !/\*\*\*(Skipped|Not Run)/ {
            how = /\*\*\*Timeout/ ? "timed-out" : "failed"
            kind = kind_of($4)
            if (how == wanted && count[kind]++ == 0)
                first[kind] = $4
        }
        END {
            n = split(kinds, names, " ")
            for (i = 1; i <= n; i++) {
                kind = names[i]
                more = count[kind] > 1 ? " +" (count[kind] - 1) : ""
                if (count[kind] > 0)
                    printf "%s (%s%s) ", kind, first[kind], more
            }
        }' "$dir/tests.log"
}

# Sets the tests of a round: their targets, or none for all tests.
choose() { # folder|unit|all FILE WORD...
    local round=$1 folder=${2#src/} name
    folder=${folder%/*}
    tests=()
    for name in "${@:3}"; do
        [[ $round != folder || $name = hangs || $name = release ]] ||
            tests+=("$name")
    done
    for name in $known; do
        [[ $round = unit ||
            $round = folder && -e $root/tests/unit/$folder/$name.c ]] &&
            tests+=("$name")
    done
}

build() {
    cmake --build "$dir/$type" --parallel "$jobs" \
        ${tests[@]+--target "${tests[@]}"} >"$dir/build.log" 2>&1
}

# Runs the chosen tests, and those that use the same programs.
run() {
    local names
    names=$(IFS='|' && echo "${tests[*]-.*}")
    ctest --test-dir "$dir/$type" -j2 --no-tests=error -LE '^bridges$' \
        -R "^($names)(_over_.*)?\$" -E "$left_out" \
        >"$dir/tests.log" 2>&1 </dev/null
}

# Ends the run if the chosen tests fail without a fault.  They run only once.
sound=';'
check_sound() {
    local key="$type ${tests[*]-all};"
    [[ $sound != *";$key"* ]] || return 0
    if ! build || ! run; then
        say "without a fault:"
        tail -n 40 "$dir/build.log" "$dir/tests.log"
        exit 1
    fi
    sound+=$key
}

# Runs the chosen tests with the fault in $dir/mutated, and sets `result`.
# Succeeds if a test caught the fault.
try_round() { # FILE WORD...
    local caught= late= is_built
    check_sound
    cp "$dir/mutated" "$tree/$1"
    build
    is_built=$?
    [ $is_built != 0 ] || run
    cp "$root/$1" "$tree/$1"
    if [ $is_built != 0 ]; then
        result="does not compile: $(grep -m 1 'error:' "$dir/build.log")"
        return 1
    fi
    caught=$(kinds_of failed)
    late=$(kinds_of timed-out)
    result="$caught${late:+timed out: $late}"
    [ -n "$caught" ] || [[ -n $late && " $* " = *" hangs "* ]] || {
        result="NOT CAUGHT $result"
        return 1
    }
}

# Applies one fault and prints the result.  Succeeds if a test caught the fault.
try() { # NAME FILE WORD...
    local name=$1 file=$2 start=$SECONDS round type=build result is_caught=1
    shift 2
    [[ " $* " != *" release "* ]] || type=release
    if mutated "$name" "$root/$file" >"$dir/mutated"; then
        for round in $rounds; do
            choose "$round" "$file" "$@"
            try_round "$file" "$@"
            is_caught=$?
            [[ $is_caught != 0 && $result != "does not"* ]] || break
        done
    else
        result='does not apply'
    fi
    printf '%-26s %3d s  %s\n' "$name" $((SECONDS - start)) "$result"
    return $is_caught
}

mkdir -p "$dir" || exit 1
rm -rf "$tree"
mkdir "$tree" || exit 1
cp -R "$root/include" "$root/src" "$root/tests" "$root/examples" \
    "$root/CMakeLists.txt" "$root/LICENSE" "$root/README.md" "$tree" || exit 1
! command -v ccache >/dev/null ||
    options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
configure() { # TYPE OPTION...
    step "configuring $1" "$dir/configure.log" cmake -S "$tree" \
        -B "$dir/$1" -G "$(generator)" "${options[@]}" \
        -DALOOP_TEST_TIMEOUT=120 "${@:2}"
}
configure build && configure release -DCMAKE_BUILD_TYPE=Release || exit 1

# Unit tests that have a program of their own.
known=$(ctest --test-dir "$dir/build" -N -LE '^bridges$' |
    sed -n 's/.* Test *#.*: \(test_.*\)/\1/p' | grep -v '_over_')

passed=0 failed=0
while read -r name file words; do
    [ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
    if try "$name" "$file" $words; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done < <(grep '^[a-z]' "$table")
say "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ] && [ $passed != 0 ]
