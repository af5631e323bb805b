#!/usr/bin/env bash
# Applies each fault of tests/tools/mutants.txt to a copy of the tree, one at a
# time, builds the copy, and prints which kinds of tests fail.  A fault counts
# as failed if no test catches it, if it does not apply or if it does not
# compile.  A test that only exceeds its time limit has not caught a fault,
# unless the fault hangs according to the table.
#
#     usage: tests/tools/mutants.sh DIR [CMAKE-OPTION...] [-- NAME...]
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
table=$root/tests/tools/mutants.txt
tree=$dir/tree
kinds='unit system programs torture sim fuzz'
# Tests that do not run the library's code, or take too long.
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
# its time limit.
kinds_of() { # failed|timed-out
    awk -v kinds="$kinds" -v wanted="$1" '
        function kind_of(name) {
            if (name ~ /^test_/)
                return "unit"
            if (name ~ /^program_/)
                return "programs"
            sub(/_.*/, "", name)
            return name
        }
        $2 == "Test" && /\*\*\*/ && !/\*\*\*(Skipped|Not Run)/ {
            how = /\*\*\*Timeout/ ? "timed-out" : "failed"
            if (how == wanted)
                is_in[kind_of($4)] = 1
        }
        END {
            count = split(kinds, kind, " ")
            for (i = 1; i <= count; i++)
                if (kind[i] in is_in)
                    printf "%s ", kind[i]
        }' "$dir/tests.log"
}

build() {
    cmake --build "$dir/build" --parallel "$jobs" >"$dir/build.log" 2>&1
}

run() {
    ctest --test-dir "$dir/build" -j2 -E "$left_out" --no-tests=error \
        >"$dir/tests.log" 2>&1 </dev/null
}

# Applies one fault and prints the result.  Succeeds if a test caught the fault.
try() { # NAME FILE [hangs]
    local name=$1 file=$2 sign=${3:-} caught late result=0
    printf '%-24s ' "$name"
    if ! mutated "$name" "$root/$file" >"$dir/mutated"; then
        echo 'does not apply'
        return 1
    fi
    cp "$dir/mutated" "$tree/$file"
    if build; then
        run
        caught=$(kinds_of failed)
        late=$(kinds_of timed-out)
        [ -z "$late" ] || late="timed out: $late"
        if [ -n "$caught" ] || [ "$sign${late:+ late}" = "hangs late" ]; then
            echo "$caught$late"
        else
            echo "NOT CAUGHT $late"
            result=1
        fi
    else
        echo 'does not compile'
        grep -m 3 'error:' "$dir/build.log"
        result=1
    fi
    cp "$root/$file" "$tree/$file"
    return $result
}

mkdir -p "$dir" || exit 1
rm -rf "$tree"
mkdir "$tree" || exit 1
cp -R "$root/include" "$root/src" "$root/tests" "$root/examples" \
    "$root/CMakeLists.txt" "$root/LICENSE" "$root/README.md" "$tree" || exit 1
step "configuring" "$dir/configure.log" cmake -S "$tree" -B "$dir/build" \
    -G "$(generator)" "${options[@]}" -DALOOP_TEST_TIMEOUT=30 || exit 1
step "building without a fault" "$dir/build.log" \
    cmake --build "$dir/build" --parallel "$jobs" || exit 1
step "testing without a fault" "$dir/log" run || {
    tail -n 40 "$dir/tests.log"
    exit 1
}

passed=0 failed=0
while read -r name file sign; do
    [ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
    if try "$name" "$file" "$sign"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done < <(grep '^[a-z]' "$table")
say "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ] && [ $passed != 0 ]
