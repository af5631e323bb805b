# The checks of the example pg_users, with a server of PostgreSQL.  Sourced by
# check.sh, after examples_apis.sh.
# shellcheck shell=bash disable=SC2154

. "$here/postgres.sh"

# Runs the program, and compares its exit status, the lines that it prints
# before the last one, and its errors.
users_are() { # STATUS LINES ERRORS COMMAND...
    local wanted=$1 lines=$2 errors=$3 status
    shift 3
    limited "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "exit status $status: $*"
    printf '%s' "$lines" | cmp -s - <(sed '$d' "$work/out") ||
        fail "other users than $(printf '%q' "$lines")"
    tail -n 1 "$work/out" | grep -qE '^[0-9]+ queries in [0-9.]+ s$' ||
        fail "the time is not printed"
    printf '%s' "$errors" | cmp -s - "$work/err" ||
        fail "other errors than $(printf '%q' "$errors")"
}

check_example_pg_users() {
    find_postgres || {
        echo "skipped: PostgreSQL is not installed" >&2
        exit 77
    }
    trap '[ -z "$server" ] || end_with KILL 137; finish_postgres; finish' EXIT
    pg_pid= pg_work=$work/pg
    mkdir "$pg_work" && chmod 711 "$work" "$pg_work"
    free_port
    init_postgres "$pg_work/data" "$pg_work/log" &&
        start_postgres "$pg_work/data" "$port" "$pg_work/log" &&
        until_postgres_is_ready "$port" || fail "$(cat "$pg_work/log")"
    export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres
    check_example_pg_users_good "$@"
    check_example_pg_users_errors "$@"
    check_example_pg_users_end "$@"
}

# Three queries at the same time take as long as one; after each other they
# take three times as long.
check_example_pg_users_good() {
    local users=$'1: Ann\n2: Bob\n3: Carol\n'
    took_ms users_are 0 "$users" '' "$@" -p 3
    [ "$took" -ge 3000 ] || fail "the server pauses for $took ms"
    [ "$took" -lt 9000 ] || fail "the queries take $took ms"
    took_ms users_are 0 "$users" '' "$@" -n 1 -p 0.2
    [ "$took" -ge 600 ] || fail "one connection takes $took ms"
    users_are 0 $'3: Carol\n1: Ann\n' '' "$@" -p 0.001 \
        -d "postgresql://postgres@127.0.0.1:$port/template1" 3 1
}

check_example_pg_users_errors() {
    users_are 1 $'2: Bob\n' 'pg_users: 9: there is no such user
pg_users: x
y: invalid input syntax for type integer: "x y"
' "$@" -p 0.001 9 $'x\ny' 2
    users_are 1 '' $'pg_users: 1: timed out\n' "$@" -p 100 -t 0.5 1
    limited "$@" -d 'host=127.0.0.1,127.0.0.1 port=1,1' 1 >"$work/out" \
        2>"$work/err"
    [ $? -eq 1 ] || fail "a refused connection has another exit status"
    [ "$(grep -c '^pg_users: 1: .* port 1 failed: Connection refused' \
        "$work/err")" -eq 1 ] || fail "a refused connection is not told"
    kill -STOP "$pg_pid"
    users_are 1 '' $'pg_users: 1: timed out\n' "$@" -t 0.5 1
    kill -CONT "$pg_pid"
}

# An interrupt ends the query in the server, too.
check_example_pg_users_end() {
    local usage
    "$@" -p 100 -t 200 1 >"$work/out" 2>"$work/err" &
    server=$!
    until "$pg_bin/psql" -XAtc 'select query from pg_stat_activity' |
        grep -q '^select name, pg_sleep'; do
        kill -0 "$server" 2>/dev/null || fail "ended early"
        pause
    done
    end_with TERM 130
    ! "$pg_bin/psql" -XAtc "select state, query from pg_stat_activity" |
        grep -q '^active|select name, pg_sleep' ||
        fail "the query runs after SIGTERM"
    [ -z "$(cat "$work/out" "$work/err")" ] ||
        fail "prints something after SIGTERM"
    if [ -c /dev/full ]; then
        limited "$@" -p 0.001 >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
        grep -q '^pg_users: cannot write' "$work/err" ||
            fail "a full disk is not told"
    fi
    for usage in "-n 0" "-t 0" "-p x" "-x"; do
        # shellcheck disable=SC2086
        "$@" $usage >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $usage"
    done
    "$@" --help | grep -q '^usage: pg_users' || fail "--help prints no usage"
}
