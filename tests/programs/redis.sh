#!/usr/bin/env bash
# Runs a command beside a Redis server of its own.
#
#     usage: redis.sh COMMAND...
#
# The server listens on a free port of 127.0.0.1, and has an empty database,
# which it keeps in memory only.  The environment of the command has REDIS_PORT,
# REDIS_SOCKET, the path of a Unix socket, and REDIS_PIDFILE, the name of a file
# with the server's process id.  If the server ends before the command, it is
# started again, empty.  The exit status is that of the command, or 77 if Redis
# is not installed.
#
# Other scripts source this file for its functions.

# Starts a server in a new directory, and sets $redis_pid.  With --hz it looks
# every 2 ms, instead of 100 ms, whether a time limit of a client is over.
start_redis() { # DIR PORT [OPTION...]
    local dir=$1 port=$2
    shift 2
    mkdir -p "$dir" || return
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
        --hz 500 --dir "$dir" --pidfile "$dir/pid" \
        --unixsocket "$dir/socket" "$@" >>"$dir/log" 2>&1 &
    redis_pid=$!
}

until_redis_is_ready() { # PORT
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$redis_pid" 2>/dev/null || return
        read -r -t 0.02 <> <(:) || :
    done
}

# A failed test may have stopped the process.
stop_redis() {
    kill -TERM "$redis_pid" 2>/dev/null && kill -CONT "$redis_pid" &&
        wait "$redis_pid"
    redis_pid=
}

finish_redis() {
    [ -z "$redis_pid" ] || stop_redis
    rm -rf "$redis_work"
}

run_beside_redis() { # COMMAND...
    local command status
    if ! command -v redis-server >/dev/null; then
        echo "skipped: Redis is not installed" >&2
        exit 77
    fi
    redis_pid=
    redis_work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
    trap finish_redis EXIT
    export REDIS_PORT=$((20000 + RANDOM % 10000))
    export REDIS_PIDFILE=$redis_work/pid REDIS_SOCKET=$redis_work/socket
    while (exec 3<>"/dev/tcp/127.0.0.1/$REDIS_PORT") 2>/dev/null; do
        REDIS_PORT=$((REDIS_PORT + 1))
    done
    start_redis "$redis_work" "$REDIS_PORT" &&
        until_redis_is_ready "$REDIS_PORT" || {
        cat "$redis_work/log" >&2
        exit 1
    }
    "$@" &
    command=$!
    while wait -n "$command" "$redis_pid"; status=$?
        kill -0 "$command" 2>/dev/null; do
        start_redis "$redis_work" "$REDIS_PORT"
    done
    wait "$command"
    status=$?
    [ $status = 0 ] || tail -n 50 "$redis_work/log" >&2
    exit $status
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -u
    run_beside_redis "$@"
fi
