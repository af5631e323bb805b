#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own.
#
#     usage: postgres.sh COMMAND...
#
# The server listens on a free port of 127.0.0.1, and has a new database in a
# temporary directory.  Its address is in the environment of the command, in the
# variables that libpq reads; POSTGRES_DATA is its directory, where the file
# postmaster.pid begins with its process id.  If it ends before the command, it
# is started again.  The exit status is that of the command, or 77 if PostgreSQL
# is not installed.
#
# Other scripts source this file for its functions.

# Sets $pg_bin to the directory of initdb and postgres.  Debian has one for each
# version, outside of PATH.
find_postgres() {
    local place
    pg_bin=
    for place in /usr/local/bin /usr/bin /usr/lib/postgresql/*/bin; do
        [ ! -x "$place/initdb" ] || [ ! -x "$place/postgres" ] ||
            pg_bin=$place
    done
    as_postgres=()
    # PostgreSQL refuses to run as root.  Its package makes the user postgres.
    [ "$(id -u)" != 0 ] || as_postgres=(setpriv --reuid=postgres
        --regid=postgres --clear-groups)
    [ -n "$pg_bin" ] && "${as_postgres[@]}" true
}

# Makes a database in a new directory.  Its user is postgres, without a
# password; a user "locked" needs one.
init_postgres() { # DIR LOG
    mkdir "$1" && chmod 700 "$1" || return
    [ "$(id -u)" != 0 ] || chown postgres "$1" || return
    (cd / && "${as_postgres[@]}" "$pg_bin/initdb" -D "$1" -A trust -N \
        -U postgres --no-locale -E UTF8) >"$2" 2>&1 || return
    printf '%s\n' 'host all locked all scram-sha-256' \
        'host all all all trust' >"$1/pg_hba.conf"
}

# Starts the server, and sets $pg_pid.
start_postgres() { # DIR PORT LOG
    (cd / && exec "${as_postgres[@]}" "$pg_bin/postgres" -D "$1" -p "$2" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c fsync=off -c shared_buffers=16MB -c max_connections=50) \
        >>"$3" 2>&1 &
    pg_pid=$!
}

until_postgres_is_ready() { # PORT
    until "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$1"; do
        kill -0 "$pg_pid" 2>/dev/null || return
        read -r -t 0.05 <> <(:) || :
    done
}

# A fast shutdown: it ends the connections.  A failed test may have stopped the
# process.
stop_postgres() {
    kill -INT "$pg_pid" 2>/dev/null && kill -CONT "$pg_pid" && wait "$pg_pid"
    pg_pid=
}

finish_postgres() {
    [ -z "$pg_pid" ] || stop_postgres
    rm -rf "$pg_work"
}

run_beside_postgres() { # COMMAND...
    local command status
    if ! find_postgres; then
        echo "skipped: PostgreSQL is not installed" >&2
        exit 77
    fi
    pg_pid=
    pg_work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
    trap finish_postgres EXIT
    chmod 711 "$pg_work"
    export PGHOST=127.0.0.1 PGPORT=$((20000 + RANDOM % 10000))
    export PGUSER=postgres PGDATABASE=postgres POSTGRES_DATA=$pg_work/data
    while (exec 3<>"/dev/tcp/127.0.0.1/$PGPORT") 2>/dev/null; do
        PGPORT=$((PGPORT + 1))
    done
    init_postgres "$POSTGRES_DATA" "$pg_work/log" &&
        start_postgres "$POSTGRES_DATA" "$PGPORT" "$pg_work/log" &&
        until_postgres_is_ready "$PGPORT" || {
        cat "$pg_work/log" >&2
        exit 1
    }
    "$@" &
    command=$!
    while wait -n "$command" "$pg_pid"; status=$?
        kill -0 "$command" 2>/dev/null; do
        start_postgres "$POSTGRES_DATA" "$PGPORT" "$pg_work/log"
    done
    wait "$command"
    status=$?
    [ $status = 0 ] || tail -n 50 "$pg_work/log" >&2
    exit $status
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -u
    run_beside_postgres "$@"
fi
