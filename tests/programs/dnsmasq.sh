#!/usr/bin/env bash
# Runs a command beside a name server of its own, dnsmasq.
#
#     usage: dnsmasq.sh COMMAND...
#
# In the environment of the command, DNS_SERVER is its address, such as
# 127.0.0.1:20123, and DNS_PID its process.  It knows these names, and no others
# below "test":
#
#     four.test            192.0.2.1
#     six.test             2001:db8::6
#     both.test            192.0.2.2 and 2001:db8::2
#     alias.test           is an alias of both.test
#     many.test            192.0.2.1 to 192.0.2.59: too much for a datagram
#     n0.test to n299.test 198.51.100.1 to 198.51.101.44
#
# The exit status is that of the command, or 77 if dnsmasq is not installed.
set -u
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v dnsmasq >/dev/null || {
    echo "skipped: dnsmasq is not installed" >&2
    exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
dnsmasq=
finish() {
    [ -z "$dnsmasq" ] || { kill "$dnsmasq" 2>/dev/null &&
        kill -CONT "$dnsmasq" 2>/dev/null && wait "$dnsmasq"; }
    rm -rf "$work"
}
trap finish EXIT

# As another user, dnsmasq could not read the file of its names.
options=(--keep-in-foreground --listen-address=127.0.0.1 --bind-interfaces
    --conf-file=/dev/null --no-resolv --no-hosts --pid-file= --user= --group=
    --local=/test/ --addn-hosts="$work/names"
    --host-record=four.test,192.0.2.1 --host-record=six.test,2001:db8::6
    --host-record=both.test,192.0.2.2,2001:db8::2
    --cname=alias.test,both.test)
for ((i = 1; i < 60; i++)); do
    options+=("--host-record=many.test,192.0.2.$i")
done
for ((i = 0; i < 300; i++)); do
    echo "198.51.$((100 + (i + 1) / 256)).$(((i + 1) % 256)) n$i.test"
done >"$work/names"

is_free() { # PORT
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Another program may have taken the port meanwhile; then dnsmasq ends.
start() {
    local i
    for ((i = 0; i < 5; i++)); do
        port=$((20000 + RANDOM % 10000))
        until is_free $port; do
            port=$((port + 1))
        done
        dnsmasq --port="$port" "${options[@]}" >"$work/log" 2>&1 &
        dnsmasq=$!
        while kill -0 "$dnsmasq" 2>/dev/null; do
            is_free $port || return 0
            read -r -t 0.05 <> <(:) || :
        done
        dnsmasq=
    done
    return 1
}

start || {
    cat "$work/log" >&2
    exit 1
}
export DNS_SERVER=127.0.0.1:$port DNS_PID=$dnsmasq
"$@"
