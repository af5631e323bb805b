# What .ci/run and tests/run --nightly share: steps, each a command whose last
# line counts, a limit for each of them and for all, and the table with which a
# run ends.  Sourced, by bash, after bootstrap.sh and figures.sh.
#
# Set before: steps_dir, for logs; step_limit_s and whole_limit_s.

total_passed=0 total_failed=0 total_skipped=0
rows=
beside_pid= beside_name=
trap '[ -z "$beside_pid" ] || kill "$beside_pid" 2>/dev/null' EXIT

need_everything() {
    compiler=gcc sanitize_flags=-fsanitize=address,undefined
    need cc cxx clang sanitizers cmake ninja pkg-config cmocka valgrind libuv \
        aarch64 qemu-aarch64 riscv64 qemu-riscv64 gdb spin file clang-tidy \
        cppcheck npm
    compiler= sanitize_flags=
}

record() { # NAME PASSED FAILED SKIPPED SECONDS CPU-SECONDS
    local counts="$2 passed, $3 failed, $4 skipped"
    rows+="$1|$counts in $5 s, $6 s of CPU|0 failed"$'\n'
    total_passed=$((total_passed + $2))
    total_failed=$((total_failed + $3))
    total_skipped=$((total_skipped + $4))
}

# The figures of a step's own table, unless an earlier step came to the same.
record_figures() { # LOG
    local row
    while read -r row; do
        [[ $'\n'$rows = *$'\n'"  $row"$'\n'* ]] || rows+="  $row"$'\n'
    done < <(rows_of "$1" | grep -v '^tests|')
}

# Runs a command, and writes LOG, and LOG.result: its exit status, its seconds
# and those of all processors, its limit.
run_step() { # LOG COMMAND...
    local log=$1 start=$SECONDS result child limit cpu
    limit=$((whole_limit_s - SECONDS))
    shift
    rm -f "$log" "$log.result"
    [ $limit -gt 0 ] || return # Not begun.
    [ $limit -lt $step_limit_s ] || limit=$step_limit_s
    timeout -k 10 "$limit" "$@" >"$log" 2>&1 </dev/null &
    child=$!
    trap 'kill "$child"; exit 130' INT TERM
    wait "$child"
    result=$?
    times >"$log.times"
    cpu=$(awk 'NR == 2 {
        for (i = 1; i <= 2; i++) {
            split($i, part, /[ms]/)
            s += 60 * part[1] + part[2]
        }
        printf "%.0f", s }' "$log.times")
    echo "$result $((SECONDS - start)) $cpu $limit" >"$log.result"
}

# Prints and records how a step ended, behind its name.  Without a line that
# counts, with no test run, or with an exit status that does not fit, it has
# failed.
report_step() { # NAME LOG
    local name=$1 log=$2 result seconds cpu limit last
    local passed=0 failed=0 skipped=0
    if [ ! -e "$log.result" ]; then
        say "not begun: all steps together may take $whole_limit_s s"
        record "$name (not begun)" 0 1 0 0 0
        return
    fi
    read -r result seconds cpu limit <"$log.result"
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]
    then
        passed=${BASH_REMATCH[1]}
        failed=${BASH_REMATCH[2]}
        skipped=${BASH_REMATCH[3]}
    fi
    if [ $failed = 0 ] && { [ $result != 0 ] || [ $passed = 0 ]; }; then
        failed=1
    fi
    say "$passed passed, $failed failed in $seconds s, $cpu s of CPU"
    if [ $failed != 0 ]; then
        [ $result != 124 ] && [ $result != 137 ] || say "stopped after $limit s"
        tail -n 300 "$log"
    fi
    record "$name" $passed $failed $skipped $seconds $cpu
    record_figures "$log"
}

check() { # NAME COMMAND...
    printf '%s ... ' "$1"
    (run_step "$steps_dir/log" "${@:2}")
    report_step "$1" "$steps_dir/log"
}

# Begins a step that leaves a processor idle and has a build directory of its
# own.  It runs beside the next ones, until settle.
beside() { # NAME COMMAND...
    beside_name=$1
    (run_step "$steps_dir/beside" "${@:2}") &
    beside_pid=$!
}

settle() {
    wait "$beside_pid"
    beside_pid=
    printf '%s ... ' "$beside_name"
    report_step "$beside_name" "$steps_dir/beside"
}

# The table, and the line that counts all.
conclude_steps() {
    say
    print_figures <<<"${rows%$'\n'}"
    say "all steps: $SECONDS s"
    say "$total_passed passed, $total_failed failed, $total_skipped skipped"
    [ $total_failed = 0 ] && [ $total_passed != 0 ]
}

mkdir -p "$steps_dir" || exit 1
