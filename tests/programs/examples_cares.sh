# The checks of the example cares_resolve, with dnsmasq.  Sourced by check.sh,
# after examples_net.sh and examples_udp.sh.
# shellcheck shell=bash disable=SC2154

check_example_cares_resolve() {
    local asks names=() lines='' i usage
    if [ -z "${DNS_SERVER:-}" ]; then
        bash "$here/dnsmasq.sh" bash "$here/check.sh" "$name" "$@"
        exit
    fi
    asks=(limited "$@" -s "$DNS_SERVER")
    dns_prints 0 'four.test 192.0.2.1
192.0.2.7 192.0.2.7
six.test 2001:db8::6
' '' "${asks[@]}" four.test 192.0.2.7 six.test
    dns_prints 1 $'both.test. 2001:db8::2\n' \
        'cares_resolve: no.test.: no such host or service
cares_resolve: four.test.: no such host or service
cares_resolve: a..b: invalid argument
' "${asks[@]}" -6 no.test. both.test. four.test. a..b
    for ((i = 0; i < 300; i++)); do
        names+=("n$i.test")
        lines+="n$i.test 198.51.$((100 + (i + 1) / 256)).$(((i + 1) % 256))"
        lines+=$'\n'
    done
    dns_prints 0 "$lines" '' "${asks[@]}" -4 "${names[@]}"
    check_example_cares_resolve_end "$@"
}

# A server that is stopped does not answer.
check_example_cares_resolve_end() {
    local usage servers
    dns_prints 1 '' \
        $'cares_resolve: x.test: temporary failure in name resolution\n' \
        limited "$@" -s 127.0.0.1:1 x.test
    for servers in x '' 127.0.0.1:99999x; do
        dns_prints 2 '' "-s: \"$servers\" is not the address of a name server, \
such as 127.0.0.1:5353, or several with commas
" "$@" -s "$servers" x.test
    done
    kill -STOP "$DNS_PID"
    dns_prints 1 '' 'cares_resolve: four.test: timed out
cares_resolve: six.test: timed out
' limited "$@" -n 1 -t 0.3 -s "$DNS_SERVER" four.test six.test
    kill -CONT "$DNS_PID"
    for usage in "" "-n 0 x" "-t 0 x" "-x x"; do
        # shellcheck disable=SC2086
        "$@" $usage >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $usage"
    done
    "$@" --help | grep -q '^usage: cares_resolve' || fail "there is no help"
    [ ! -c /dev/full ] || {
        limited "$@" 192.0.2.7 >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
    }
}
