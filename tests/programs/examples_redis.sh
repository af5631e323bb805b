# The checks of the example redis_workers, with a server of Redis that keeps its
# data in a file.  Sourced by check.sh, after examples_pg.sh.
# shellcheck shell=bash disable=SC2154

. "$here/redis.sh"

workers=()
finish_workers() {
    local pid
    for pid in ${workers[@]+"${workers[@]}"}; do
        kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    workers=()
}

# Starts a worker, and sets $worker.
start_worker() { # COMMAND... OPTION...
    "$@" >>"$work/done" 2>>"$work/errors" &
    worker=$!
    workers+=("$worker")
}

# A checker is slow, and a failed test should not wait for ever.
until_output() { # WHAT PATTERN COMMAND...
    local what=$1 pattern=$2 i
    shift 2
    for ((i = 0; i < 600; i++)); do
        ! "$@" 2>/dev/null | grep -qE "$pattern" || return 0
        pause
    done
    "$@" >"$work/out" 2>"$work/err"
    cat "$work/errors" >>"$work/err"
    fail "never $what"
}

# Expects each of `count` jobs to have one result.
one_result_each() { # COUNT COMMAND...
    local count=$1
    shift
    until_output "$count jobs done" "^0 waiting, 0 running, $count done, 0 failed" \
        "$@" status
    "$@" results | sed 's/ .*//' | sort >"$work/results"
    sort "$work/ids" | cmp -s - "$work/results" ||
        fail "the results are not one for each job"
}

check_example_redis_workers() {
    command -v redis-server >/dev/null || {
        echo "skipped: Redis is not installed" >&2
        exit 77
    }
    trap 'finish_workers; finish_redis; finish' EXIT
    redis_pid= redis_work=$work/redis
    free_port
    start_redis "$redis_work" "$port" --appendonly yes &&
        until_redis_is_ready "$port" || fail "$(cat "$redis_work/log")"
    : >"$work/errors"
    check_example_redis_workers_good "$@" -p "$port" -k good
    check_example_redis_workers_killed "$@" -p "$port" -k killed
    check_example_redis_workers_deadly "$@" -p "$port" -k deadly
    check_example_redis_workers_kept "$@" -p "$port" -k kept
    check_example_redis_workers_stopped "$@" -p "$port" -k stopped
    check_example_redis_workers_drain "$@" -p "$port" -k drain
    check_example_redis_workers_server "$@" -p "$port" -k server
    check_example_redis_workers_pages "$@" -p "$port" -k pages
    check_example_redis_workers_usage "$@"
}

# The results, and jobs that fail as often as allowed.
check_example_redis_workers_good() {
    SECONDS=0 # Each check has the whole limit of pause().
    local hash text
    text=$'two\nlines'
    hash=$(sha256sum <"$0" | sed 's/ .*//')
    {
        limited "$@" add echo one "$text" && limited "$@" add sha256 "$0"
    } >"$work/ids" || fail "cannot add"
    limited "$@" status | grep -qx '3 waiting, 0 running, 0 done, 0 failed' ||
        fail "the jobs do not wait"
    start_worker "$@" work -a 2 -c 0.2
    one_result_each 3 "$@"
    limited "$@" results | cut -d ' ' -f 2- | sort >"$work/out"
    printf '%s\n' 'echo one: one' 'echo two lines: two lines' \
        "sha256 $0: $hash" | cmp -s - "$work/out" || fail "other results"
    limited "$@" add fail x >"$work/ids" && limited "$@" add nonsense y \
        >>"$work/ids" || fail "cannot add"
    until_output "failed" '^0 waiting, 0 running, 3 done, 2 failed' "$@" status
    limited "$@" results -f | cut -d ' ' -f 2- | sort >"$work/out"
    printf '%s\n' 'fail x: input/output error' \
        'nonsense y: the type is not known' | cmp -s - "$work/out" ||
        fail "other failures"
    [ "$(grep -c ' fail x: ' "$work/errors")" -eq 2 ] ||
        fail "a job that fails is not tried twice"
    finish_workers
}

# Six workers are killed while they run jobs.  None is lost, and none has two
# results.
check_example_redis_workers_killed() {
    SECONDS=0
    local i first
    # shellcheck disable=SC2046
    limited "$@" add sleep $(for ((i = 1; i <= 60; i++)); do
        echo 0.1$((i % 10))
    done) >"$work/ids" || fail "cannot add"
    for ((i = 0; i < 3; i++)); do
        start_worker "$@" work -n 3 -c 1 -a 1000 -i "first-$i"
    done
    for ((i = 0; i < 6; i++)); do
        first=first-$i
        [ $i -lt 3 ] || first=next-$i
        until_output "does $first run jobs" "^$first: [1-9] running" "$@" status
        kill -KILL "${workers[0]}" && wait "${workers[0]}" 2>/dev/null
        workers=("${workers[@]:1}")
        start_worker "$@" work -n 3 -c 1 -a 1000 -i "next-$((i + 3))"
    done
    limited "$@" status >"$work/out"
    grep -qE '^first-[0-9]: [1-9] running' "$work/out" ||
        fail "no job was left by a worker that was killed"
    one_result_each 60 "$@"
    finish_workers
}

# Each worker that runs the job is killed.  The one after the last attempt does
# not run it.
check_example_redis_workers_deadly() {
    SECONDS=0
    local i
    limited "$@" add sleep 1000 >"$work/ids" || fail "cannot add"
    for i in 1 2; do
        start_worker "$@" work -a 2 -c 0.5 -i "victim-$i"
        until_output "runs the job" "^victim-$i: 1 running" "$@" status
        kill -KILL "$worker" && wait "$worker" 2>/dev/null
        workers=()
    done
    start_worker "$@" work -a 2 -c 0.5
    until_output "gives up" '^0 waiting, 0 running, 0 done, 1 failed' \
        "$@" status
    limited "$@" results -f | grep -q \
        ' sleep 1000: no worker has lived until it ended$' ||
        fail "a job that kills its workers does not fail"
    finish_workers
}

# A job that takes longer than -c stays with its worker.
check_example_redis_workers_kept() {
    SECONDS=0
    : >"$work/errors"
    limited "$@" add sleep 5 >"$work/ids" || fail "cannot add"
    start_worker "$@" work -n 1 -c 2
    start_worker "$@" work -n 1 -c 2
    one_result_each 1 "$@"
    # One that had taken the job, too, would end it now.
    kill -TERM "${workers[@]}"
    wait "${workers[@]}"
    workers=()
    [ ! -s "$work/errors" ] || fail "two workers run the same job"
}

# A worker that was stopped is late: another one has run its job.
check_example_redis_workers_stopped() {
    SECONDS=0
    local stopped
    limited "$@" add sleep 4 >"$work/ids" || fail "cannot add"
    start_worker "$@" work -n 1 -c 1 -i stopped
    stopped=$worker
    until_output "takes the job" '^stopped: 1 running' "$@" status
    kill -STOP "$stopped"
    start_worker "$@" work -n 1 -c 1 -i other
    one_result_each 1 "$@"
    kill -CONT "$stopped"
    until_output "notices that it was late" \
        'sleep 4: (it had ended before|another worker has taken it)' \
        cat "$work/errors"
    one_result_each 1 "$@"
    finish_workers
}

# After SIGTERM a worker ends its jobs, takes no others, and leaves the group;
# jobs that take too long are given back.
check_example_redis_workers_drain() {
    SECONDS=0
    limited "$@" add sleep 3 3 0.1 >"$work/ids" || fail "cannot add"
    start_worker "$@" work -n 2 -i drained
    until_output "takes two jobs" '^drained: 2 running' "$@" status
    workers=()
    server=$worker
    end_with TERM 130
    limited "$@" status >"$work/out"
    printf '%s\n' '1 waiting, 0 running, 2 done, 0 failed' |
        cmp -s - "$work/out" || fail "a drain leaves something"
    start_worker "$@" work
    one_result_each 3 "$@"
    finish_workers
    limited "$@" add sleep 1000 >"$work/ids" || fail "cannot add"
    start_worker "$@" work -g 0.2 -i hasty
    until_output "takes the job" '^hasty: 1 running' "$@" status
    workers=()
    server=$worker
    end_with TERM 130
    start_worker "$@" work -c 60 -i heir
    until_output "gives the job back" '^heir: 1 running' "$@" status
    finish_workers
}

# The server is killed and started again, while jobs run.
check_example_redis_workers_server() {
    SECONDS=0
    limited "$@" add sleep 0.2 0.2 0.2 0.2 0.2 0.2 0.2 0.2 >"$work/ids" ||
        fail "cannot add"
    start_worker "$@" work -n 2 -c 1 -a 1000
    until_output "runs jobs" ' 2 running' "$@" status
    kill -KILL "$redis_pid" && wait "$redis_pid" 2>/dev/null
    until_output "tells the loss" "redis_workers: 127.0.0.1:$port: the server has" \
        cat "$work/errors"
    start_redis "$redis_work" "$port" --appendonly yes &&
        until_redis_is_ready "$port" || fail "$(cat "$redis_work/log")"
    one_result_each 8 "$@"
    kill -STOP "$redis_pid"
    "$@" add echo late >"$work/ids" 2>"$work/err" &
    server=$!
    pause
    kill -CONT "$redis_pid"
    wait "$server" || fail "cannot add to a server that was stopped"
    server=
    until_output "runs the late job" ' 9 done' "$@" status
    finish_workers
}

# More results than are asked for at a time, and a key that has none.
check_example_redis_workers_pages() {
    SECONDS=0
    limited "$@" add echo {1..250} >"$work/ids" || fail "cannot add"
    start_worker "$@" work
    one_result_each 250 "$@"
    finish_workers
    redis-cli -p "$port" set pages:failed text >"$work/out"
    ! limited "$@" status >"$work/out" 2>"$work/err" ||
        fail "a wrong key has results"
    grep -q "^redis_workers: 127.0.0.1:$port: WRONGTYPE" "$work/err" ||
        fail "a wrong key is not told"
}

check_example_redis_workers_usage() {
    local usage
    for usage in "" "nonsense" "add" "add echo" "work -n 0" "work -c x" \
        "work x" "status x" "results x" "-x" "work -x"; do
        # shellcheck disable=SC2086
        "$@" $usage >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $usage"
    done
    limited "$@" -p 1 status >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a refused connection has another exit status"
    limited "$@" -p 1 work >>"$work/out" 2>>"$work/err"
    [ $? -eq 1 ] || fail "a refused worker has another exit status"
    limited "$@" -p 1 add echo x >>"$work/out" 2>>"$work/err"
    [ $? -eq 1 ] || fail "a refused job has another exit status"
    printf 'redis_workers: 127.0.0.1:1: connection refused\n%.0s' 1 2 3 |
        cmp -s - "$work/err" || fail "a refused connection is not told"
    REDIS_PASSWORD=wrong limited "$@" -p "$port" status >"$work/out" \
        2>"$work/err"
    [ $? -eq 1 ] || fail "a wrong password has another exit status"
    grep -q "^redis_workers: 127.0.0.1:$port: ERR AUTH" "$work/err" ||
        fail "a wrong password is not told"
    "$@" --help | grep -q '^usage: redis_workers' || fail "--help prints no usage"
}
