# The examples that use the network, tested with ncat, socat and iperf3.
# Sourced by check.sh.

need_tool() { # NAME...
    local tool
    for tool; do
        command -v "$tool" >/dev/null && continue
        echo "skipped: $tool is not installed" >&2
        exit 77
    done
}

# Processes that a check has started, apart from $server, or their groups: a
# process that is left would keep the output of the test open.  A `wait` for the
# last process of a pipeline waits for all of it, and the others may read from a
# descriptor that a check has failed to close.
helpers=()
end_helpers() {
    local helper
    exec 4>&- 5>&- 6>&- 7>&-
    for helper in ${helpers[@]+"${helpers[@]}"}; do
        kill -- "$helper" 2>/dev/null
        wait "${helper#-}" 2>/dev/null
    done
    helpers=()
}

# Starts the example in the background, with its output in $work/out, and sets
# $port to the port that it prints.
start_listening() { # COMMAND...
    : >"$work/out"
    "$@" >"$work/out" 2>"$work/err" &
    server=$!
    port=
    until [ -n "$port" ]; do
        port=$(sed -n 's/^listening on .* port \([0-9]*\)$/\1/p' "$work/out")
        kill -0 "$server" 2>/dev/null || fail "does not listen"
        pause
    done
}

# Waits a little, and ends the check if it has run for 50 seconds, which is less
# than its limit in ctest.
pause() {
    [ $SECONDS -lt $((50 * ${ALOOP_TEST_PATIENCE:-1})) ] ||
        fail "hangs in ${FUNCNAME[*]:1}$(printed_so_far)"
    read -r -t 0.05 <> <(:)
}

# What the programs have printed, apart from the example.
printed_so_far() {
    local file
    for file in socat iperf3 client dnsmasq; do
        [ ! -s "$work/$file" ] || printf '\n%s' "$file: $(tail -n 3 "$work/$file")"
    done
}

# Runs a program that ends by itself, if it does what it should.
limited() { # COMMAND...
    local status
    timeout -k 5 $((40 * ${ALOOP_TEST_PATIENCE:-1})) "$@"
    status=$?
    [ $status -ne 124 ] ||
        printf '%s: %s has not ended%s\n' "$name" "$*" "$(printed_so_far)" >&2
    return $status
}

until_file_has() { # FILE TEXT
    until grep -qF -- "$2" "$1"; do
        pause
    done
}

# A server of one's own, each of whose connections runs a command.
serve_with() { # PORT COMMAND
    set -m # A group of its own.
    socat -t 60 "TCP-LISTEN:$1,bind=127.0.0.1,reuseaddr,fork" "$2" \
        2>"$work/socat" &
    helpers+=("-$!")
    set +m
    until_open "$1"
}

# Wrong usage, help, and errors of a program that listens.
check_listening_errors() { # NAME EXTRA-ARGUMENTS... -- COMMAND...
    local example=$1 extra=() status
    shift
    while [ "$1" != -- ]; do
        extra+=("$1")
        shift
    done
    shift
    "$@" --help | grep -q "^usage: $example" || fail "--help prints no usage"
    "$@" -h | grep -q "^usage: $example" || fail "-h prints no usage"
    "$@" -x >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 2 ] || fail "exit status $status for a wrong option"
    "$@" -H 10.255.255.1 ${extra[@]+"${extra[@]}"} >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status for a wrong address"
    grep -q "^$example: cannot listen on 10.255.255.1 port .*: address not" \
        "$work/err" || fail "a wrong address is not told"
    "$@" -H example.org ${extra[@]+"${extra[@]}"} >"$work/out" 2>"$work/err"
    grep -q "^$example: cannot listen on example.org port .*: .*" \
        "$work/err" || fail "a name to listen on is not told"
}

# The client ends first, then the target, then a target that computes.
check_example_proxy() {
    local target
    need_tool socat ncat
    trap 'end_helpers; finish' EXIT
    check_listening_errors proxy 0 127.0.0.1 1 -- "$@"
    free_port
    target=$port
    head -c 3000000 /dev/urandom >"$work/data"
    serve_with "$target" EXEC:cat
    start_listening "$@" -l 0 localhost "$target"
    limited socat -t 30 - "TCP:127.0.0.1:$port" <"$work/data" | cmp - "$work/data" ||
        fail "the echo differs"
    until_file_has "$work/out" ": 3000000 bytes to the target, 3000000 bytes"
    [ "$(printf 'a\nb' | limited ncat 127.0.0.1 "$port")" = $'a\nb' ] ||
        fail "ncat gets another echo"
    check_example_proxy_halves "$@"
    check_example_proxy_iperf3 "$@"
    check_example_proxy_end "$@"
}

# Each side ends its direction first, and receives more afterwards.
check_example_proxy_halves() {
    local target=$port
    end_with TERM 0
    end_helpers
    free_port
    target=$port
    mkfifo "$work/gate"
    serve_with "$target" "EXEC:wc -c"
    start_listening "$@" 0 127.0.0.1 "$target"
    [ "$(limited socat -t 30 - "TCP:127.0.0.1:$port" <"$work/data" | tr -d ' ')" = \
        3000000 ] || fail "no answer after the end of the client"
    end_with TERM 0
    end_helpers
    free_port
    target=$port
    serve_with "$target" \
        "SYSTEM:printf greeting; exec 1>&-; cat >$work/received,pipes"
    start_listening "$@" 0 127.0.0.1 "$target"
    socat -t 30 - "TCP:127.0.0.1:$port" <"$work/gate" >"$work/greeting" &
    helpers+=($!)
    exec 6>"$work/gate"
    until [ "$(cat "$work/greeting")" = greeting ]; do
        pause
    done
    cat "$work/data" >&6
    exec 6>&-
    until cmp -s "$work/data" "$work/received"; do
        pause
    done
    end_with TERM 0
    end_helpers
}

# Transfers data with iperf3.  Its server listens late, and is busy for a moment
# after each run.
transfer() { # OPTION...
    until iperf3 -c 127.0.0.1 -p "$port" -n 4M "$@" >"$work/client" 2>&1; do
        grep -qE 'busy|refused|reset|unable to|closed' "$work/client" ||
            fail "iperf3: $(tail -n 3 "$work/client")"
        pause
    done
}

# Several connections in both directions.
check_example_proxy_iperf3() {
    local target
    if ! command -v iperf3 >/dev/null; then
        echo "iperf3 is not installed: not compared with it" >&2
        return
    fi
    free_port
    target=$port
    iperf3 -s -B 127.0.0.1 -p "$target" >"$work/iperf3" 2>&1 &
    helpers+=($!)
    start_listening "$@" 0 127.0.0.1 "$target"
    transfer -P 4
    transfer -R
    end_with TERM 0
    end_helpers
}

# A target that refuses, and a signal with an open connection.
check_example_proxy_end() {
    local target
    free_port
    target=$port
    start_listening "$@" -l 0 127.0.0.1 "$target"
    limited ncat 127.0.0.1 "$port" </dev/null >/dev/null 2>&1
    until_file_has "$work/err" "cannot connect to 127.0.0.1 port $target: conn"
    serve_with "$target" EXEC:cat
    exec 4<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
    until_file_has "$work/out" ": connected"
    kill -TERM "$server"
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        pause
    done
    printf 'still here\n' >&4
    hears 4 "still here"
    exec 4>&-
    wait "$server" || fail "exit status $? after SIGTERM"
    server=
    end_helpers
}

# Reads the next line of descriptor $1, which has to be $2.
hears() { # DESCRIPTOR LINE
    local line=
    read -r -t $((10 * ${ALOOP_TEST_PATIENCE:-1})) line <&"$1"
    [ "$line" = "$2" ] || fail "received '$line' instead of '$2'"
}

joins() { # DESCRIPTOR NAME
    eval "exec $1<>/dev/tcp/127.0.0.1/$port" || fail "refused"
    hears "$1" "Your name?"
    printf '%s\r\n' "$2" >&"$1"
}

# Clients that talk to each other, and clients that do what they should not.
check_example_chat() {
    need_tool socat ncat
    trap 'end_helpers; finish' EXIT
    check_listening_errors chat -- "$@"
    start_listening "$@" -p 0 -n 3
    joins 4 Ann
    joins 5 Bob
    hears 4 "* Bob has joined"
    printf 'hi\nthere\n' >&4
    hears 5 "Ann: hi"
    hears 5 "Ann: there"
    printf 'esc \033[2J bell \a\n\n' >&5
    hears 4 "Bob: esc ?[2J bell ?"
    # Controls of one byte, alone and in UTF-8, and what is no UTF-8.
    printf '\233m \302\233m \302\240\303\233\342\202\254\360\237\230\200 %b\n' \
        '\0340\0202\0233 \0300\0233 \0342\0202' >&5
    hears 4 "Bob: ?m ??m $(printf '\302\240\303\233\342\202\254\360\237\230\200') ??? ?? ??"
    joins 7 Carl
    hears 4 "* Carl has joined"
    hears 5 "* Carl has joined"
    [ "$(limited ncat 127.0.0.1 "$port" </dev/null)" = "* the room is full" ] ||
        fail "a client too many is not refused"
    exec 7>&-
    hears 4 "* Carl has left"
    hears 5 "* Carl has left"
    check_example_chat_hostile
    check_example_chat_slow "$@"
}

# The clients on descriptors 4 and 5 are not affected by any of these.
check_example_chat_hostile() {
    # A half-close, after a last line without a line break.
    printf 'Dan\nlast words' | limited socat -t 30 - "TCP:127.0.0.1:$port" \
        >"$work/dan"
    [ "$(cat "$work/dan")" = "Your name?" ] || fail "a half-close is no end"
    hears_of Dan "Dan: last words"
    # A line without an end.
    (printf 'Eve\n' && head -c 3000000 /dev/zero | tr '\0' x) |
        limited socat -u - "TCP:127.0.0.1:$port" 2>"$work/eve"
    hears_of Eve
    # A name without an end.
    head -c 3000000 /dev/zero | tr '\0' x |
        limited socat -u - "TCP:127.0.0.1:$port" 2>"$work/eve"
    # A reset.
    printf 'Fay\nbroken\n' | limited socat -u - "TCP:127.0.0.1:$port,linger=0"
    printf 'hello\n' >&4
    hears_last 5 "Ann: hello"
}

# Both clients are told that another one joins, what it says, and that it
# leaves.
hears_of() { # NAME [LINE]
    local fd
    for fd in 4 5; do
        hears $fd "* $1 has joined"
        [ $# = 1 ] || hears $fd "$2"
        hears $fd "* $1 has left"
    done
}

# Reads lines until one of them is $2.
hears_last() { # DESCRIPTOR LINE
    local line=
    until [ "$line" = "$2" ]; do
        read -r -t $((10 * ${ALOOP_TEST_PATIENCE:-1})) line <&"$1" ||
            fail "does not receive '$2'"
    done
}

# A client that never reads is dropped, and one that reads is not.  It is told
# about the end of the server, while another one still sends.
check_example_chat_slow() {
    local sent=0
    # The clients before may not have left yet, and there has to be room.
    exec 4>&- 5>&-
    end_with TERM 0
    start_listening "$@" -p 0 -n 3
    joins 4 Ann
    joins 5 Bob
    hears 4 "* Bob has joined"
    # The buffer of the system is small, because it could hold 32 MiB.
    mkfifo "$work/never"
    exec 6<>"$work/never"
    (echo Slow && exec cat "$work/never") 6>&- |
        socat -u - "TCP:127.0.0.1:$port,rcvbuf=4096" 6>&- 2>"$work/slow" &
    helpers+=($!)
    hears_last 4 "* Slow has joined"
    hears_last 5 "* Slow has joined"
    cat <&5 >"$work/heard" &
    helpers+=($!)
    # No more is put at a time than may wait for the client that reads.
    yes "$(printf '%0999d' 0)" 2>/dev/null | head -n 200 >"$work/lines"
    until grep -qF "* Slow has left" "$work/heard"; do
        cat "$work/lines" >&4
        sent=$((sent + 200 * 1000))
        until [ "$(wc -c <"$work/heard")" -ge $sent ]; do
            pause
        done
    done
    cat "$work/lines" >&4
    end_with TERM 0
    until [ "$(tail -n 1 "$work/heard")" = "* the server ends" ]; do
        pause
    done
    exec 4>&- 5>&- 6>&-
    end_helpers
}

# Runs a command that has to fail with $1, and to print a line with $2.
fails_with() { # STATUS TEXT COMMAND...
    local status expected=$1 text=$2
    shift 2
    limited "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$expected" ] || fail "exit status $status: $*"
    grep -qF -- "$text" "$work/err" || fail "does not print '$text'"
}

check_example_nc() {
    need_tool socat ncat
    trap 'end_helpers; finish' EXIT
    head -c 3000000 /dev/urandom >"$work/data"
    check_example_nc_errors "$@"
    check_example_nc_connect "$@"
    check_example_nc_input "$@"
    check_example_nc_listen "$@"
    check_example_nc_ends "$@"
    if ! command -v script >"$work/path"; then
        echo "skipped: script is not installed; all but terminals passed" >&2
        exit 77
    fi
    check_example_nc_terminal "$@"
}

check_example_nc_errors() {
    "$@" --help | grep -q "^usage: nc" || fail "--help prints no usage"
    fails_with 2 "usage: nc" "$@"
    fails_with 2 "usage: nc" "$@" -k 127.0.0.1 1
    fails_with 2 "-w" "$@" -w never 127.0.0.1 1
    free_port
    fails_with 1 "cannot connect to 127.0.0.1 port $port: conn" \
        "$@" 127.0.0.1 "$port"
    fails_with 1 "cannot connect to no.such.invalid port 1: " \
        "$@" no.such.invalid 1
    fails_with 1 "cannot connect to $work/none: no such file" \
        "$@" -U "$work/none"
    fails_with 1 "cannot listen on 10.255.255.1 port 1: " \
        "$@" -l 10.255.255.1 1
    fails_with 1 "no connection on $work/socket: timed out" \
        "$@" -l -w 0.01 -U "$work/socket"
    [ ! -e "$work/socket" ] || fail "the path is left"
}

# Both directions simultaneously, and an answer after the end of the input.
check_example_nc_connect() {
    free_port
    serve_with "$port" EXEC:cat
    limited "$@" localhost "$port" <"$work/data" | cmp - "$work/data" ||
        fail "the echo differs"
    end_helpers
    free_port
    serve_with "$port" "EXEC:wc -c"
    [ "$(limited "$@" 127.0.0.1 "$port" <"$work/data" | tr -d ' ')" = \
        3000000 ] || fail "no answer after the end of the input"
    end_helpers
    socat -t 30 "UNIX-LISTEN:$work/socket" EXEC:cat 2>"$work/socat" &
    helpers+=($!)
    until [ -S "$work/socket" ]; do
        pause
    done
    limited "$@" -U "$work/socket" <"$work/data" | cmp - "$work/data" ||
        fail "the echo over a Unix socket differs"
    end_helpers
    rm -f "$work/socket"
}

# Standard input is a pipe, a FIFO, a device, or closed.
check_example_nc_input() {
    free_port
    serve_with "$port" EXEC:cat
    # shellcheck disable=SC2002
    cat "$work/data" | limited "$@" 127.0.0.1 "$port" | cmp - "$work/data" ||
        fail "the echo of a pipe differs"
    mkfifo "$work/input"
    cat "$work/data" >"$work/input" &
    helpers+=($!)
    limited "$@" 127.0.0.1 "$port" <"$work/input" | cmp - "$work/data" ||
        fail "the echo of a FIFO differs"
    end_helpers
    free_port
    serve_with "$port" "EXEC:wc -c"
    [ "$(limited "$@" 127.0.0.1 "$port" </dev/null | tr -d ' ')" = 0 ] ||
        fail "no end of /dev/null"
    [ "$(limited "$@" 127.0.0.1 "$port" <&- | tr -d ' ')" = 0 ] ||
        fail "no end of a closed input"
    end_helpers
}

# The peer has nothing to send while it receives, and the reverse.
check_example_nc_listen() {
    free_port
    start_verbose "$@" -lv 127.0.0.1 0
    limited ncat --send-only 127.0.0.1 "$port" <"$work/data"
    ends_with 0
    cmp "$work/data" "$work/out" || fail "received something else"
    start_verbose "$@" -lkv 0
    for i in 1 2; do
        [ "$(limited ncat --recv-only 127.0.0.1 "$port" </dev/null)" = "" ] ||
            fail "connection $i received something"
    done
    kill -INT "$server"
    ends_with 130
    start_verbose "$@" -lv -U "$work/socket"
    limited socat -t 30 -u "$work/data" "UNIX-CONNECT:$work/socket"
    ends_with 0
    cmp "$work/data" "$work/out" || fail "received something else by path"
    [ ! -e "$work/socket" ] || fail "the path is left"
}

# Starts the example with `-v`, and sets $port if it prints one.  A background
# job of a shell ignores SIGINT, unless it has a group of its own.
start_verbose() { # COMMAND...
    : >"$work/err"
    set -m
    "$@" </dev/null >"$work/out" 2>"$work/err" &
    server=$!
    set +m
    until_file_has "$work/err" "nc: listening on"
    port=$(sed -n 's/^nc: listening on .* port \([0-9]*\)$/\1/p' "$work/err")
}

ends_with() { # STATUS
    local status
    while kill -0 "$server" 2>/dev/null; do
        pause
    done
    wait "$server"
    status=$?
    server=
    [ $status -eq "$1" ] || fail "exit status $status instead of $1"
}

# A reader that ends, and a peer that resets.
check_example_nc_ends() {
    local statuses
    free_port
    serve_with "$port" "SYSTEM:yes 2>&-"
    limited "$@" 127.0.0.1 "$port" </dev/null 2>"$work/err" |
        head -n 1 >"$work/out"
    statuses=("${PIPESTATUS[@]}")
    [ "${statuses[0]}" -eq 1 ] || fail "without a reader: ${statuses[0]}"
    [ "$(cat "$work/out")" = y ] || fail "the first line is wrong"
    grep -q "cannot write standard output: broken pipe" "$work/err" ||
        fail "does not name the output"
    end_helpers
}

# The terminal is not waited for when the peer has ended.
check_example_nc_terminal() {
    free_port
    serve_with "$port" "SYSTEM:read -r line; echo got \$line"
    printf '%q ' "$@" 127.0.0.1 "$port" >"$work/command"
    printf '; echo status $?' >>"$work/command"
    {
        printf 'typed\n'
        until grep -qs status "$work/typed"; do
            [ $SECONDS -lt $((50 * ${ALOOP_TEST_PATIENCE:-1})) ] || break
            read -r -t 0.05 <> <(:)
        done
    } | limited script -qefc "bash $work/command" "$work/typescript" \
        >"$work/typed" 2>&1
    grep -q "got typed" "$work/typed" || fail "a terminal is not read"
    grep -q "status 0" "$work/typed" || fail "a terminal keeps it alive"
    end_helpers
}
