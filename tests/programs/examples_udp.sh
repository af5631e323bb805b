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
