#!/usr/bin/env bash
# Runs one of the programs, or an example, and compares what it does with what
# its header says.  usage: check.sh NAME [RUNNER...] PROGRAM
set -u
name=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
server=
# shellcheck disable=SC2317
finish() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"
    rm -rf "$work"
}
trap finish EXIT

fail() {
    printf '%s: %s\n' "$name" "$*" >&2
    [ -s "$work/out" ] && sed 's/^/  out: /' "$work/out" >&2
    [ -s "$work/err" ] && sed 's/^/  err: /' "$work/err" >&2
    exit 1
}

# The words after the program are its arguments; output is compared.
expect() {
    local expected=$1
    shift
    "$@" >"$work/out" 2>"$work/err" || fail "exit status $?"
    printf '%s' "$expected" | cmp -s - "$work/out" ||
        fail "printed something else than $(printf '%q' "$expected")"
}

# The shell's own clock, or where it is too old for that perl's.
now_us() {
    if [ -n "${EPOCHREALTIME:-}" ]; then
        printf '%s' "${EPOCHREALTIME/[.,]/}"
    else
        perl -MTime::HiRes=time -e 'printf "%.0f", time * 1e6'
    fi
}

# A second that lasts at least a second.
took_ms() {
    local start end
    start=$(now_us)
    "$@"
    end=$(now_us)
    took=$(((end - start) / 1000))
}

check_gather() {
    took_ms expect $'Task 1 started\nTask 2 started\nTask 1 completed\nTask 2 completed\n' "$@"
    [ "$took" -ge 2000 ] || fail "slept only $took ms"
}

check_chain() {
    took_ms expect $'Coroutine started\nCoroutine finished\n42\n' "$@"
    [ "$took" -ge 1000 ] || fail "slept only $took ms"
}

check_filter() {
    expect $'on the wire: Uryyb, jbeyq!\nread: Hello, world!\nline: one\nline: two\nend\n' "$@"
}

# The answers come after one retry, and the three wait at the same time.
check_ask() {
    took_ms expect $'answer to one: ONE (asked again)\nanswer to two: TWO (asked again)\nanswer to three: THREE (asked again)\n' "$@"
    [ "$took" -ge 100 ] || fail "asked again after only $took ms"
}

# The program works without a standard input, too.
check_passing() {
    local lines=$'received: take this\nin the file: written by the sender\ndescriptors left: 0\n'
    expect "$lines" "$@"
    expect "$lines" "$@" <&-
}

check_deadline() {
    took_ms expect $'slow ended: cancelled, and again: cancelled\nwhole: timed out\nfirst: 7\n' "$@"
    [ "$took" -lt 10000 ] || fail "waited for a cancelled sleep"
}

check_embed() {
    took_ms expect $'tick\ntick\ntick\nhost done\n' "$@"
    [ "$took" -ge 30 ] || fail "ticked too early: $took ms"
}

check_foreign() {
    took_ms expect $'timed out\nawaited: readable\ncallback: hello\ncallback: hang-up\n' "$@"
    [ "$took" -lt 10000 ] || fail "waited for a descriptor that was ready"
}

# Waits until something answers on the port, at most ten seconds.
until_open() {
    local i pause=0.05
    [ "${BASH_VERSINFO[0]}" -ge 4 ] || pause=1 # It knows no fractions.
    for ((i = 0; i < 200; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        read -r -t $pause <> <(:)
    done
    fail "nobody listens on port $1"
}

free_port() {
    port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
    done
}

check_echo() {
    local answer i
    free_port
    "$@" "$port" >"$work/out" 2>"$work/err" &
    server=$!
    until_open "$port"
    for i in 1 2 3; do
        exec 4<>"/dev/tcp/127.0.0.1/$port" || fail "connection $i refused"
        printf 'line %s\n' "$i" >&4
        read -r -t 10 answer <&4
        [ "$answer" = "line $i" ] || fail "echoed '$answer'"
        exec 4>&-
    done
    kill -TERM "$server"
    wait "$server" || fail "exit status $? after SIGTERM"
    server=
}

# A server of one's own that answers every request with its path.
check_fetch() {
    free_port
    "${@:1:$#-1}" "$(dirname "${*: -1}")/page_server" "$port" &
    server=$!
    until_open "$port"
    "$@" "$port" /one /missing /two >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    printf '%s' $'/one: 4 bytes\n/one\n/missing: 8 bytes\n/missing\n/two: 4 bytes\n/two\n' |
        cmp -s - "$work/out" || fail "the pages are not what the server sent"
    kill "$server"
    wait "$server" 2>/dev/null
    server=
    "$@" "$port" /gone >"$work/out" 2>"$work/err" || fail "exit status $?"
    grep -q '^/gone: connection refused$' "$work/out" ||
        fail "a refused connection is not told"
}

# Files of several sizes, an existing target, a missing source, a target that
# becomes too large, and an interrupt while a copy waits for its source.
check_copy() {
    local status
    printf hello >"$work/a"
    head -c 1000000 /dev/urandom >"$work/b"
    : >"$work/c"
    expect "$work/a: 5 bytes
$work/b: 1000000 bytes
$work/c: 0 bytes
" "$@" "$work/a" "$work/a2" "$work/b" "$work/b2" "$work/c" "$work/c2"
    for status in a b c; do
        cmp "$work/$status" "$work/${status}2" || fail "${status}2 differs"
    done
    "$@" "$work/b" "$work/a2" "$work/no" "$work/no2" "$work/a" "$work/a3" \
        >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after errors"
    printf '%s' "$work/b: file exists
$work/no: no such file or directory
$work/a: 5 bytes
" | cmp -s - "$work/out" || fail "the errors are not told"
    cmp -s "$work/a" "$work/a2" || fail "an existing target was changed"
    [ ! -e "$work/no2" ] || fail "a target without a source is left"
    (
        ulimit -f 16
        "$@" "$work/b" "$work/b3" >"$work/out" 2>"$work/err"
        [ $? -eq 1 ]
    ) || fail "a target that is too large has the wrong exit status"
    grep -q "^$work/b: file too large\$" "$work/out" ||
        fail "a target that is too large is not told"
    [ ! -e "$work/b3" ] || fail "a partial target is left"
    check_copy_interrupt "$@"
}

# The first copy waits for the writer of a FIFO.
check_copy_interrupt() {
    local status
    mkfifo "$work/fifo" || fail "mkfifo"
    "$@" "$work/fifo" "$work/f2" "$work/b" "$work/b4" \
        >"$work/out" 2>"$work/err" &
    server=$!
    exec 5>"$work/fifo"
    printf partial >&5
    until [ -s "$work/f2" ] && [ -e "$work/b4" ] &&
        [ "$(wc -c <"$work/b4")" -eq 1000000 ]; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    kill -INT "$server"
    wait "$server"
    status=$?
    server=
    exec 5>&-
    [ $status -eq 130 ] || fail "exit status $status after SIGINT"
    [ ! -s "$work/out" ] || fail "prints something after SIGINT"
    [ ! -e "$work/f2" ] || fail "a partial target is left after SIGINT"
}

# Starts the program in the background, and waits for its first line.
start_until_ready() {
    : >"$work/out"
    "$@" >"$work/out" 2>"$work/err" &
    server=$!
    until grep -qx ready "$work/out"; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
}

end_with() { # SIGNAL STATUS
    local status
    kill -s "$1" "$server"
    wait "$server"
    status=$?
    server=
    [ $status -eq "$2" ] || fail "exit status $status after SIG$1"
}

# Lines over TCP and over Unix sockets, a stale path, a live one, and the end
# with an open connection.
check_shout() {
    local answer client where
    client=("${@:1:$#-1}" "$(dirname "${*: -1}")/line_client")
    free_port
    start_until_ready "$@" "$port"
    exec 4<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
    printf 'hello\nWorld\n' >&4
    read -r -t 10 answer <&4
    [ "$answer" = HELLO ] || fail "answered '$answer'"
    read -r -t 10 answer <&4
    [ "$answer" = WORLD ] || fail "answered '$answer'"
    exec 4>&-
    end_with TERM 0
    for where in "$work/socket" "@$work"; do
        [ "$where" = "@$work" ] && [ "$(uname)" != Linux ] && continue
        start_until_ready "$@" "$where"
        [ "$("${client[@]}" "$where" "some text")" = "SOME TEXT" ] ||
            fail "wrong answer at $where"
        "$@" "$where" >"$work/out2" 2>"$work/err2" && fail "listens twice"
        grep -q '^shout: address already in use$' "$work/err2" ||
            fail "a live path is not told"
        end_with INT 0
        [ ! -e "$where" ] || fail "the path is left"
    done
    check_shout_stale "$@"
}

# A server that was killed leaves its path, which the next one replaces.  One
# that has an open connection ends after a second.
check_shout_stale() {
    start_until_ready "$@" "$work/socket"
    kill -s KILL "$server"
    wait "$server" 2>/dev/null
    [ -S "$work/socket" ] || fail "the path is not left by SIGKILL"
    start_until_ready "$@" "$work/socket"
    [ "$("${client[@]}" "$work/socket" again)" = AGAIN ] ||
        fail "the stale path was not replaced"
    "${client[@]}" "$work/socket" held 9 >/dev/null &
    until [ "$("${client[@]}" "$work/socket" more)" = MORE ]; do :; done
    took_ms end_with TERM 0
    [ ! -e "$work/socket" ] || fail "the path is left"
    wait
}

# Waits for a line of the output, at most ten seconds.
until_printed() {
    local i
    for ((i = 0; i < 200; i++)); do
        grep -q "$1" "$work/out" && return 0
        kill -0 "$server" 2>/dev/null || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    fail "does not print '$1'"
}

# Sends a line to a port of 127.0.0.1, and expects it back.
expect_echo() {
    local answer
    exec 4<>"/dev/tcp/127.0.0.1/$1" || fail "refused"
    printf 'hello\n' >&4
    read -r -t 10 answer <&4
    [ "$answer" = hello ] || fail "answered '$answer'"
    exec 4>&-
}

# One loop serves everything, or several share the connections.
check_example_multicore() {
    local loops=1 port total
    [ "$(uname)" = Linux ] && loops=3 # Elsewhere they may not be shared.
    : >"$work/out"
    "$@" -n "$loops" >"$work/out" 2>"$work/err" &
    server=$!
    until_printed '^listening on 127.0.0.1 port '
    port=$(awk '/^listening/ { print $5 }' "$work/out")
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        expect_echo "$port"
    done
    end_with TERM 0
    total=$(awk '/^loop / { total += $3 } END { print total }' "$work/out")
    [ "$total" = 10 ] || fail "served $total connections"
    [ "$(grep -c '^loop ' "$work/out")" = "$loops" ] || fail "wrong loops"
    "$@" -n 0 >"$work/out" 2>"$work/err" && fail "takes no loops"
    return 0
}

check_example_systemd_activated() {
    local folder runner
    folder=$(dirname "${*: -1}")/../tests
    runner=("${@:1:$#-1}")
    free_port
    : >"$work/out"
    "${runner[@]}" "$folder/activate" "$port" "$work/socket" "$@" \
        >"$work/out" 2>"$work/err" &
    server=$!
    until_printed '^serving local$'
    grep -q '^serving web$' "$work/out" || fail "the name is not printed"
    expect_echo "$port"
    [ "$("${runner[@]}" "$folder/line_client" "$work/socket" text)" = text ] ||
        fail "wrong answer at the path"
    end_with TERM 0
    [ -e "$work/socket" ] || fail "the path of the manager was removed"
    LISTEN_PID=1 LISTEN_FDS=2 "$@" >"$work/out" 2>"$work/err" &&
        fail "takes the descriptors of another process"
    grep -q 'no sockets were passed' "$work/err" || fail "no message"
}

# Every kind of input and output, after which the next program of the same shell
# can still read and write them.
check_stdio() {
    local all=$'ONE\nTWO\nEND' told='^2 lines, [0-9]* ticks$'
    printf 'one\ntwo\nend' >"$work/in"
    expect "$all" "$@" <"$work/in"
    grep -q "$told" "$work/err" || fail "the lines of a file are not told"
    # shellcheck disable=SC2002
    cat "$work/in" | expect "$all" "$@" || exit 1
    printf 'first\n' >"$work/appended"
    "$@" <"$work/in" >>"$work/appended" 2>"$work/err" || fail "cannot append"
    [ "$(cat "$work/appended")" = "first
$all" ] || fail "does not append"
    expect '' "$@" </dev/null
    grep -q '^0 lines, ' "$work/err" || fail "the end of a device is not told"
    "$@" <"$work/in" >/dev/null 2>"$work/err" || fail "cannot write a device"
    check_stdio_fifo "$@"
    check_stdio_closed "$@"
    check_stdio_shared "$@"
    if ! command -v script >"$work/path"; then
        echo "skipped: script is not installed; all but terminals passed" >&2
        exit 77
    fi
    check_stdio_terminal "$@"
}

check_stdio_fifo() {
    mkfifo "$work/fifo" || fail "mkfifo"
    cat "$work/in" >"$work/fifo" &
    expect "$all" "$@" <"$work/fifo"
    wait
    cat "$work/fifo" >"$work/through" &
    "$@" <"$work/in" >"$work/fifo" 2>"$work/err" || fail "cannot write a FIFO"
    wait
    [ "$(cat "$work/through")" = "$all" ] || fail "a FIFO got something else"
}

# A reader that has gone is an error, and no signal.
check_stdio_closed() {
    local statuses
    "$@" <&- >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a closed input has another exit status"
    "$@" <"$work/in" >&- 2>"$work/err"
    [ $? -eq 1 ] || fail "a closed output has another exit status"
    yes | "$@" 2>"$work/err" | head -n 1 >"$work/out"
    statuses=("${PIPESTATUS[@]}")
    [ "${statuses[1]}" -eq 1 ] || fail "without a reader: ${statuses[1]}"
    [ "$(cat "$work/out")" = Y ] || fail "the first line is wrong"
}

# Two runs and a program that expects its output to block share a pipe.
check_stdio_shared() {
    {
        "$@" </dev/null 2>"$work/err"
        "$@" <"$work/in" 2>"$work/err"
        cat "$work/in"
    } | cat >"$work/out"
    [ "$(cat "$work/out")" = "$all$(cat "$work/in")" ] ||
        fail "an output that is shared lost something"
}

# The word after the end of the input is for cat.
check_stdio_terminal() {
    printf '%q ' "$@" >"$work/command"
    printf '2>%q; cat' "$work/err" >>"$work/command"
    rm "$work/err"
    {
        printf 'typed\n\004'
        until grep -qs ' lines, ' "$work/err"; do
            [ $SECONDS -lt $((50 * ${ALOOP_TEST_PATIENCE:-1})) ] || break
            read -r -t 0.05 <> <(:)
        done
        printf 'later\n\004'
    } | script -qefc "bash $work/command" "$work/typescript" >"$work/out" 2>&1
    grep -q TYPED "$work/out" || fail "a terminal is not read"
    grep -q '^1 lines, ' "$work/err" || fail "the lines are not told"
    [ "$(grep -c later "$work/out")" -eq 2 ] || fail "cat reads nothing"
}

check_sums() {
    local status
    printf foobar >"$work/a"
    : >"$work/b"
    head -c 30000000 /dev/zero >"$work/c"
    expect "85944171f73967e8  $work/a
cbf29ce484222325  $work/b
" "$@" "$work/a" "$work/b"
    grep -q '^ticks: [0-9]' "$work/err" || fail "the ticks are not told"
    "$@" "$work/no" "$work/c" "$work/a" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after an error"
    [ "$(sed -n 1p "$work/out")" = "$work/no: no such file or directory" ] &&
        [ "$(sed -n 3p "$work/out")" = "85944171f73967e8  $work/a" ] ||
        fail "the files are not in order"
    grep -q '^ticks: [1-9]' "$work/err" || fail "the loop was blocked"
}

# The example, compared with the test vectors of FIPS 180-4, and with sha256sum.
check_example_sums() {
    local size status
    printf abc >"$work/abc"
    printf abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq >"$work/448"
    head -c 1000000 /dev/zero | tr '\0' a >"$work/million"
    expect "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  $work/abc
248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1  $work/448
cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0  $work/million
" "$@" "$work/abc" "$work/448" "$work/million"
    for size in 0 1 55 56 63 64 65 119 120 262143 262144 262145 3000000; do
        head -c $size /dev/urandom >"$work/$size"
    done
    printf x >"$work/a\\b"
    (cd "$work" && sha256sum -- [0-9]* 'a\b') >"$work/expected"
    (cd "$work" && "$@" -j 3 -- [0-9]* 'a\b') >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    cmp -s "$work/expected" "$work/out" || fail "differs from sha256sum"
    "$@" "$work/1" "$work" "$work/no" "$work/56" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after errors"
    sha256sum "$work/1" "$work/56" | cmp -s - "$work/out" ||
        fail "an error stops the others"
    printf 'sums: %s\n' "$work: is a directory" \
        "$work/no: no such file or directory" | cmp -s - "$work/err" ||
        fail "the errors are not told"
    "$@" >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" --help | grep -q '^usage: sums' || fail "there is no help"
}

# What the system knows of its own name, compared with getent.
check_example_resolve_names() {
    command -v getent >"$work/path" || return 0
    getent ahostsv4 localhost | awk '{print "localhost", $1}' | sort -u \
        >"$work/expected"
    [ -s "$work/expected" ] || return 0
    "$@" -4 localhost 2>"$work/err" | sort -u >"$work/out"
    cmp -s "$work/expected" "$work/out" || fail "differs from getent ahostsv4"
    getent hosts 127.0.0.1 | awk '{print "127.0.0.1", $2}' >"$work/expected"
    [ -s "$work/expected" ] || return 0
    expect "$(cat "$work/expected")"$'\n' "$@" -r 127.0.0.1
}

# Numeric addresses, names of this machine, and errors.
check_example_resolve() {
    expect "127.0.0.1 127.0.0.1
::1 ::1
" "$@" 127.0.0.1 ::1
    check_example_resolve_names "$@"
    "$@" 1 ::1 >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "an error has another exit status"
    grep -q '^resolve: 1: not a name' "$work/err" || fail "the error is not told"
    grep -q '^::1 ::1$' "$work/out" || fail "an error stops the others"
    if [ -c /dev/full ]; then
        "$@" ::1 >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
        grep -q '^resolve: cannot write' "$work/err" ||
            fail "a full disk is not told"
    fi
    "$@" >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" --help | grep -q '^usage: resolve' || fail "there is no help"
}

# The example, compared with tail.
check_example_tail() {
    local lines
    seq 30000 >"$work/long"
    printf 'one\ntwo\n\nthree' >"$work/cut"
    : >"$work/empty"
    printf '\n' >"$work/break"
    for lines in 0 1 2 3 4 10 29999 30000 40000; do
        tail -n $lines "$work/long" "$work/cut" "$work/empty" "$work/break" \
            >"$work/expected"
        "$@" -n $lines "$work/long" "$work/cut" "$work/empty" "$work/break" \
            >"$work/out" 2>"$work/err" || fail "exit status $?"
        cmp -s "$work/expected" "$work/out" || fail "differs from tail -n $lines"
    done
    tail "$work/long" >"$work/expected"
    "$@" "$work/no" "$work/long" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "an error has another exit status"
    grep -q "^tail: $work/no: no such file or directory\$" "$work/err" ||
        fail "the error is not told"
    if [ -c /dev/full ]; then
        "$@" -f -n 30000 "$work/long" >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
        grep -q '^tail: cannot write' "$work/err" ||
            fail "a full disk is not told"
    fi
    check_example_tail_follow "$@"
}

# Waits until the output has a line.
until_line() { # TEXT
    local i
    for ((i = 0; i < 400; i++)); do
        grep -qxF -- "$1" "$work/out" && return
        kill -0 "$server" || break
        read -r -t 0.05 <> <(:)
    done
    fail "does not print $1"
}

# A file is appended to, replaced, made shorter, removed and made again.
check_example_tail_follow() {
    printf 'a\n' >"$work/log"
    "$@" -f -s 0.01 "$work/log" >"$work/out" 2>"$work/err" &
    server=$!
    until_line a
    printf 'b\n' >>"$work/log"
    until_line b
    mv "$work/log" "$work/log.1"
    printf 'c\n' >>"$work/log.1"
    printf 'd\n' >"$work/log"
    until_line d
    printf 'e\n' >>"$work/log"
    until_line e
    : >"$work/log"
    until grep -q 'has become shorter' "$work/err"; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    printf 'f\n' >>"$work/log"
    until_line f
    rm "$work/log"
    until grep -q 'no such file' "$work/err"; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    printf 'g\n' >"$work/log"
    until_line g
    kill -TERM "$server"
    wait "$server"
    [ $? -eq 130 ] || fail "another exit status after SIGTERM"
    server=
    printf '%s\n' a b c d e f g | cmp -s - "$work/out" ||
        fail "lines are missing or printed twice"
}

# The example, compared with cp -r.
check_example_copy() {
    mkdir -p "$work/t/sub/deep" "$work/t/empty" "$work/t/closed"
    head -c 3000000 /dev/urandom >"$work/t/large"
    printf small >"$work/t/sub/small"
    : >"$work/t/sub/deep/none"
    printf '#!/bin/sh\n' >"$work/t/script"
    printf x >"$work/t/closed/x"
    chmod 755 "$work/t/script"
    chmod 500 "$work/t/closed"
    ln -s sub/small "$work/t/link"
    ln -s nowhere "$work/t/dangling"
    cp -r "$work/t" "$work/by_cp"
    expect "" "$@" -r "$work/t/" "$work/by_us"
    same_trees "$work/by_cp" "$work/by_us"
    mkdir "$work/into"
    mkdir "$work/into/up"
    expect "" "$@" -r "$work/t/sub/.." "$work/into/up"
    same_trees "$work/by_cp" "$work/into/up"
    [ "$(ls "$work/into")" = up ] || fail ".. is copied beside the target"
    expect "" "$@" -r -j 1 "$work/t" "$work/t/large" "$work/into"
    same_trees "$work/by_cp" "$work/into/t"
    cmp "$work/t/large" "$work/into/large" || fail "large differs"
    printf new >"$work/t/sub/small"
    expect "" "$@" "$work/t/sub/small" "$work/t/script" "$work/into"
    expect "" "$@" "$work/t/sub/small" "$work/into/large"
    cmp "$work/t/sub/small" "$work/into/large" || fail "was not replaced"
    [ "$(find "$work/into" -name '*.part')" = "" ] || fail "a part is left"
    check_example_copy_errors "$@"
    check_example_copy_interrupt "$@"
    check_example_copy_progress "$@"
    chmod -R u+w "$work"
}

# Names, contents, links and permissions.
same_trees() {
    diff -r --no-dereference "$1" "$2" >"$work/out" || fail "$2 differs"
    (cd "$1" && find . ! -type l -exec ls -ld {} + | awk '{print $1, $NF}') \
        >"$work/left"
    (cd "$2" && find . ! -type l -exec ls -ld {} + | awk '{print $1, $NF}') \
        >"$work/right"
    diff "$work/left" "$work/right" >"$work/out" ||
        fail "$2 has other permissions"
}

check_example_copy_errors() {
    local status
    "$@" "$work/t/large" "$work/no" "$work/t" "$work/into" \
        >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after errors"
    printf '%s' "copy: $work/no: no such file or directory
copy: $work/t: is a directory (-r is not given)
" | cmp -s - "$work/err" || fail "the errors are not told"
    cmp -s "$work/t/large" "$work/into/large" || fail "errors end the copy"
    "$@" "$work/t/large" "$work/t/large" 2>"$work/err"
    [ $? -eq 1 ] || fail "a file was copied onto itself"
    mkfifo "$work/fifo"
    "$@" "$work/t/large" "$work/fifo" 2>"$work/err"
    [ $? -eq 1 ] && [ -p "$work/fifo" ] &&
        grep -qx "copy: $work/fifo: is not a regular file" "$work/err" ||
        fail "a FIFO was replaced"
    "$@" "$work/t/large" "$work/no/copy" 2>"$work/err"
    grep -q "/large to $work/no/copy: no such file or directory\$" \
        "$work/err" || fail "the error of a target does not name it"
    "$@" -r "$work/t" "$work/t/sub/t" 2>"$work/err"
    [ $? -eq 1 ] || fail "a directory was copied into itself"
    "$@" "$work/t/large" "$work/t/script" "$work/no" 2>"$work/err"
    [ $? -eq 1 ] || fail "two files were copied to one name"
    "$@" -r 2>"$work/err"
    [ $? -eq 2 ] || fail "a missing argument has the wrong exit status"
    "$@" --help | grep -q '^usage: copy' || fail "--help prints no usage"
}

# Ends the program while it copies, by SIGTERM, because shells have programs in
# the background ignore SIGINT.  A file that is faster is complete.
check_example_copy_interrupt() {
    local name status
    mkdir "$work/from" "$work/to"
    for name in 1 2 3 4 5 6 7 8; do
        cat "$work/t/large" "$work/t/large" >"$work/from/$name"
    done
    "$@" -j 2 "$work/from"/* "$work/to" 2>"$work/err" &
    server=$!
    until [ -e "$work/to/2" ] || ! kill -0 "$server" 2>/dev/null; do :; done
    kill -TERM "$server" 2>/dev/null
    wait "$server"
    status=$?
    server=
    [ $status -eq 130 ] || [ -e "$work/to/8" ] ||
        fail "exit status $status after SIGTERM"
    for name in "$work/to"/*; do
        [ -e "$name" ] || continue # There are none.
        cmp -s "$name" "$work/from/${name##*/}" ||
            fail "a partial file is left after SIGTERM"
    done
}

# On a terminal each file that is being copied has a bar, which is removed in
# the end.  Only a copy that takes long enough draws it: there are more and more
# files.
check_example_copy_progress() {
    local count drawn
    command -v script >"$work/path" || return 0
    for ((count = 200; count < 60000; count *= 4)); do
        mkdir "$work/$count"
        (cd "$work/$count" && seq $count | split -l 1 -a 4 - x)
        printf '%q ' "$@" -r -j 1 "$work/$count" "$work/drawn$count" \
            >"$work/command"
        TERM=xterm script -qefc "bash $work/command" "$work/typescript" \
            </dev/null >"$work/out" 2>"$work/err" ||
            fail "exit status $? on a terminal"
        grep -Eq '0/x[a-z]+ .*\[=*>? *\]' "$work/out" && break
    done
    ((count < 60000)) || fail "draws no bar"
    drawn=$(tr -d '\0' <"$work/out")
    [[ ${drawn##*]} == *$'\033[J'* ]] || fail "leaves a bar" # It is erased.
    diff -r "$work/$count" "$work/drawn$count" >"$work/out" ||
        fail "a copy differs"
}

# Each of the programs fails if its help cannot be written, and so do those that
# need no arguments, and servers, if their output cannot.
check_example_help() { # PROGRAM...
    local program status
    for program; do
        "$program" --help 2>&1 | grep -q '^usage: ' ||
            fail "$program has no help"
        [ -c /dev/full ] || continue
        "$program" --help >/dev/full 2>"$work/err"
        status=$?
        [ $status -eq 1 ] ||
            fail "$program --help on a full device has exit status $status"
        grep -q ': cannot write the output$' "$work/err" ||
            fail "$program --help does not tell that the device is full"
        case $program in
        */chain | */gather | */multicore) set -- ;;
        */proxy) set -- 0 127.0.0.1 9 ;;
        */http_server) set -- -p 0 "$work" ;;
        */*_server | */*_echo | */chat) set -- -p 0 ;;
        *) continue ;;
        esac
        timeout 60 "$program" "$@" >/dev/full 2>"$work/err"
        status=$?
        [ $status -eq 1 ] ||
            fail "$program on a full device has exit status $status"
        grep -q ': cannot write the output$' "$work/err" ||
            fail "$program does not tell that the device is full"
    done
}

. "$here/examples_net.sh"
. "$here/examples_udp.sh"
. "$here/examples_http.sh"
. "$here/examples_httpd.sh"
. "$here/examples_tls.sh"
. "$here/examples_apis.sh"
. "$here/examples_cares.sh"
. "$here/examples_curl.sh"
. "$here/examples_http2.sh"
. "$here/examples_pg.sh"
. "$here/examples_websocket.sh"
. "$here/examples_glib.sh"
. "$here/examples_redis.sh"
. "$here/examples_nginx_module.sh"
. "$here/examples_redis_module.sh"

"check_$name" "$@"
