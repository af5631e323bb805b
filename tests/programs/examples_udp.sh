# The checks of the examples for datagrams; check.sh includes them.
# shellcheck shell=bash disable=SC2154

# Starts the program in the background, and waits for a line that begins with
# this text and ends with its port.
start_at_port() { # TEXT PROGRAM...
    local text=$1
    shift
    : >"$work/server"
    "$@" >"$work/server" 2>&1 &
    server=$!
    until port=$(sed -n "s/^$text\([0-9][0-9]*\)\$/\1/p" "$work/server") &&
        [ -n "$port" ]; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
}

# The shell sends datagrams to /dev/udp.
check_example_udp_echo() {
    local answer i
    start_at_port 'waiting on 127.0.0.1 port ' "$@" -p 0
    exec 4<>"/dev/udp/127.0.0.1/$port" || fail "no socket"
    for i in 1 2 3; do
        printf 'line %s\n' "$i" >&4
        # The shell would read only one byte of it.
        answer=$(dd bs=100 count=1 <&4 2>/dev/null)
        [ "$answer" = "line $i" ] || fail "echoed '$answer'"
    done
    exec 4>&-
    end_with TERM 0
    grep -qx '3 echoed, 0 dropped' "$work/server" ||
        fail "printed something else than the counts"
    "$@" extra >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" --help | grep -q '^usage: udp_echo' || fail "there is no help"
}

# Asks a server for names.  Compares the output and the exit status.
dns_prints() { # STATUS OUTPUT ERRORS PROGRAM...
    local status=$1 expected=$2 errors=$3
    shift 3
    "$@" >"$work/out" 2>"$work/err"
    [ $? -eq "$status" ] || fail "the exit status is not $status"
    printf '%s' "$expected" | cmp -s - "$work/out" || fail "wrong addresses"
    grep -v '^--[0-9]*-- ' "$work/err" >"$work/own" # Those of valgrind.
    printf '%s' "$errors" | cmp -s - "$work/own" || fail "wrong errors"
}

# The error of the first name shows that the second one is waited for.
check_dns_signal() { # PROGRAM...
    local name_server=$server
    : >"$work/err"
    "$@" -t 200 x..y forged >"$work/out" 2>"$work/err" &
    server=$!
    until grep -q '^dns: x..y' "$work/err"; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    end_with TERM 130
    server=$name_server
    [ "$(grep -c '^dns: ' "$work/err")" -eq 1 ] ||
        fail "prints something after SIGTERM"
}

# A server of our own, whose replies are wrong, and a real one.
check_example_dns() {
    local asks
    start_at_port '' "${@:1:$#-1}" "$(dirname "${*: -1}")/../tests/name_server"
    asks=("$@" -s 127.0.0.1 -p "$port" -t 0.2 -n 50)
    dns_prints 0 $'other.test 192.0.2.1\nother.test 2001:db8::1\n' '' \
        "${asks[@]}" other.test
    dns_prints 0 $'late.test 192.0.2.1\nlate.test 2001:db8::1\n' '' \
        "${asks[@]}" late.test
    dns_prints 0 $'large 192.0.2.1\nOTHER. 192.0.2.1\n' '' \
        "${asks[@]}" -4 large OTHER.
    dns_prints 1 '' $'dns: forged: timed out\n' \
        "${asks[@]}" -t 0.05 -n 2 forged
    dns_prints 1 $'a 2001:db8::1\n' 'dns: cut: the answer is too large for UDP
dns: failed: the server could not answer
dns: none: there is no such name
dns: x..y: not a name
' "${asks[@]}" -6 cut failed none x..y a
    check_dns_signal "${asks[@]}"
    kill "$server"
    wait "$server" 2>/dev/null
    server=
    dns_prints 1 '' $'dns: gone: connection refused\n' "${asks[@]}" gone
    "$@" -4 -6 x >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" -s localhost x >"$work/out" 2>"$work/err"
    [ $? -eq 2 ] || fail "a server without an address has another exit status"
    grep -q '^-s: "localhost" is not a numeric address$' "$work/err" ||
        fail "a server without an address is not told"
    check_example_dns_real "$@"
}

check_example_dns_real() {
    local PATH=$PATH:/usr/sbin:/usr/local/sbin records=() i
    need_tool dnsmasq
    for ((i = 1; i < 60; i++)); do
        records+=("--host-record=many.test,192.0.2.$i")
    done
    free_port
    dnsmasq --keep-in-foreground --port="$port" --listen-address=127.0.0.1 \
        --bind-interfaces --conf-file=/dev/null --no-resolv --no-hosts \
        --pid-file= --user= --group= --local=/test/ \
        --host-record=four.test,192.0.2.1 \
        --host-record=six.test,2001:db8::6 \
        --host-record=both.test,192.0.2.2,2001:db8::2 \
        --cname=alias.test,both.test --cname=twice.test,alias.test \
        "${records[@]}" >"$work/server" 2>&1 &
    server=$!
    until_open "$port" # TCP, too.
    asks=("$@" -s 127.0.0.1 -p "$port")
    dns_prints 0 'four.test 192.0.2.1
six.test 2001:db8::6
both.test 192.0.2.2
both.test 2001:db8::2
twice.test 192.0.2.2
twice.test 2001:db8::2
' '' "${asks[@]}" four.test six.test both.test twice.test
    dns_prints 1 '' 'dns: no.test: there is no such name
dns: many.test: the answer is too large for UDP
dns: six.test: the name has no such address
' "${asks[@]}" -4 no.test many.test six.test
    [ -c /dev/full ] || return 0
    "${asks[@]}" four.test >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || fail "a full disk has another exit status"
    grep -q '^dns: cannot write the output$' "$work/err" ||
        fail "a full disk is not told"
}
