# Functions that .ci/run and tests/run --nightly share.  A step is a command
# whose last line counts tests.  There is a time limit for each step and one for
# all steps together.  A run ends with a table.  Sourced by bash, after
# bootstrap.sh and figures.sh.
#
# The caller sets steps_dir, the directory for logs, step_limit_s and
# whole_limit_s.

total_passed=0 total_failed=0 total_skipped=0
rows=
beside_names=() beside_pids=()
trap '[ ${#beside_pids[@]} = 0 ] || kill "${beside_pids[@]}" 2>/dev/null' EXIT

need_everything() {
    compiler=gcc sanitize_flags=-fsanitize=address,undefined
    need cc cxx clang sanitizers cmake ninja pkg-config cmocka valgrind libuv \
        aarch64 qemu-aarch64 riscv64 qemu-riscv64 gdb spin file musl \
        clang-tidy cppcheck clang-format-14 npm ncat socat iperf3 dnsmasq \
        curl wrk ab h2load "${bridge_libraries[@]}" "${bridge_servers[@]}"
    compiler= sanitize_flags=
}

record() { # NAME PASSED FAILED SKIPPED SECONDS CPU-SECONDS
    local counts="$2 passed, $3 failed, $4 skipped"
    rows+="$1|$counts in $5 s, $6 s of CPU|0 failed"$'\n'
    total_passed=$((total_passed + $2))
    total_failed=$((total_failed + $3))
    total_skipped=$((total_skipped + $4))
}

# Records the figures of a step's own table, except those that an earlier step
# had too.
record_figures() { # LOG
    local row
    while read -r row; do
        [[ $'\n'$rows = *$'\n'"  $row"$'\n'* ]] || rows+="  $row"$'\n'
    done < <(rows_of "$1" | grep -v '^tests|')
}

# Runs a command and writes its output to LOG.  LOG.result gets its exit status,
# its duration, its CPU time and its limit, in seconds.
run_step() { # LOG COMMAND...
    local log=$1 start=$SECONDS result child limit cpu
    limit=$((whole_limit_s - SECONDS))
    shift
    rm -f "$log" "$log.result"
    [ $limit -gt 0 ] || return # There is no time left: no LOG.result.
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

# Prints the result of a step after its name, and records it.  The step counts
# as failed if its last line does not count tests, if no test was run, or if its
# exit status does not agree with the counts.
report_step() { # NAME LOG
    local name=$1 log=$2 result seconds cpu limit last
    local passed=0 failed=0 skipped=0
    if [ ! -e "$log.result" ]; then
        say "not started: the limit for all steps is $whole_limit_s s"
        record "$name (not started)" 0 1 0 0 0
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

# Starts a step that has a build directory of its own.  It runs at the same time
# as the next steps, and after those that were started in this way before.  Only
# the limit for all steps ends it: with `nice`, it waits for the others.
beside() { # NAME COMMAND...
    local log=$steps_dir/beside.${#beside_names[@]}
    local before=${beside_pids[*]: -1}
    (
        while [ -n "$before" ] && kill -0 "$before" 2>/dev/null; do
            sleep 1
        done
        step_limit_s=$whole_limit_s
        run_step "$log" "${@:2}"
    ) &
    beside_pids+=($!)
    beside_names+=("$1")
}

# Waits for the steps that beside has started, and reports them.
settle() {
    local i
    for i in "${!beside_names[@]}"; do
        wait "${beside_pids[i]}"
        printf '%s ... ' "${beside_names[i]}"
        report_step "${beside_names[i]}" "$steps_dir/beside.$i"
    done
    beside_names=() beside_pids=()
}

# Prints the table, and the line with the total counts.
conclude_steps() {
    say
    print_figures <<<"${rows%$'\n'}"
    say "all steps: $SECONDS s"
    say "$total_passed passed, $total_failed failed, $total_skipped skipped"
    [ $total_failed = 0 ] && [ $total_passed != 0 ]
}

mkdir -p "$steps_dir" || exit 1
