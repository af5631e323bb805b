# The checks of the examples for TLS; check.sh includes them.
# shellcheck shell=bash disable=SC2154

# Makes a certificate for localhost, which only its owner trusts.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$work/key" -out "$work/cert" >"$work/out" 2>&1 ||
        fail "openssl makes no certificate"
}

# Waits until a file has a line that matches.  A client that hangs is ended by
# its own limit.
wait_for_line() { # EXPRESSION FILE PROCESS
    until grep -q "$1" "$2"; do
        kill -0 "$3" 2>/dev/null || grep -q "$1" "$2" ||
            fail "a peer ended without a line $1"
        read -r -t 0.05 <> <(:)
    done
}

# Sends a line, and ends its input when it has received the line.
s_client_echoes() { # OPTION...
    local client
    : >"$work/out"
    mkfifo "$work/in"
    timeout 60 openssl s_client -quiet -no_ign_eof "$@" \
        -connect "127.0.0.1:$port" -CAfile "$work/cert" -servername localhost \
        -verify_hostname localhost -verify_return_error \
        <"$work/in" >"$work/out" 2>"$work/err" &
    client=$!
    exec 4>"$work/in"
    printf 'through TLS\n' >&4
    wait_for_line '^through TLS$' "$work/out" "$client"
    exec 4>&-
    wait "$client" || fail "s_client $* has the exit status $?"
    rm "$work/in"
}

# curl sends a request, and receives it as the answer.
curl_echoes() {
    local client
    command -v curl >/dev/null || return 0
    : >"$work/out"
    timeout 60 curl -sN --http0.9 --cacert "$work/cert" \
        "https://localhost:$port/path" >"$work/out" 2>"$work/err" &
    client=$!
    wait_for_line '^GET /path HTTP/1.1' "$work/out" "$client"
    kill "$client"
    wait "$client"
}

# Clients of other programs, one of ours, and ones that do not trust it.
check_example_tls_server() {
    local client
    command -v openssl >/dev/null || exit 77
    client=("${@:1:$#-1}" "$(dirname "${*: -1}")/tls_client")
    make_certificate
    start_at_port 'listening on 127.0.0.1 port ' "$@" 0 "$work/cert" \
        "$work/key"
    s_client_echoes -tls1_2
    s_client_echoes -tls1_3
    curl_echoes
    expect $'one\ntwo\n' timeout 60 "${client[@]}" -C "$work/cert" localhost \
        "$port" < <(printf 'one\ntwo\n')
    refused 'self-signed certificate' "${client[@]}" localhost "$port"
    refused 'IP address mismatch' "${client[@]}" -C "$work/cert" 127.0.0.1 \
        "$port"
    end_with INT 0
    grep -q 'alert unknown ca' "$work/server" ||
        fail "the server does not print why a client left"
    "$@" 0 "$work/key" "$work/cert" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "it starts without a certificate"
    grep -q 'key: not a certificate (PEM)$' "$work/err" ||
        fail "wrong message about a certificate"
    "$@" --help | grep -q '^usage: tls_server' || fail "there is no help"
}

refused() { # WORDS CLIENT...
    local words=$1
    shift
    timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null
    [ $? -eq 1 ] || fail "wrong exit status of a refusal"
    grep -q "^tls_client: .* port $port: TLS: $words\$" "$work/err" ||
        fail "the reason is not $words"
}

# Ends the server, which does not end TLS then.  The client reports that once,
# although both directions fail.
cut_off() { # CLIENT...
    local client
    : >"$work/out"
    mkfifo "$work/in"
    timeout 60 "$@" -C "$work/cert" localhost "$port" \
        <"$work/in" >"$work/out" 2>"$work/err" &
    client=$!
    exec 4>"$work/in"
    printf 'abc\n' >&4
    wait_for_line '^cba$' "$work/out" "$client"
    kill "$server"
    wait "$server" 2>/dev/null
    server=
    wait "$client"
    [ $? -eq 1 ] || fail "wrong exit status without an end of TLS"
    exec 4>&-
    rm "$work/in"
    [ "$(<"$work/err")" = "tls_client: localhost port $port: connection: the\
 peer has cut off TLS" ] || fail "a missing end of TLS is not reported once"
}

# The server of OpenSSL answers each line with its reverse.
check_example_tls_client() {
    local version
    command -v openssl >/dev/null || exit 77
    make_certificate
    for version in -tls1_2 -tls1_3; do
        : >"$work/server"
        timeout 60 openssl s_server -accept 127.0.0.1:0 -rev $version \
            -cert "$work/cert" -key "$work/key" >"$work/server" 2>&1 &
        server=$!
        wait_for_line '^ACCEPT ' "$work/server" "$server"
        port=$(sed -n 's/^ACCEPT .*://p' "$work/server")
        expect $'cba\nfed\n' timeout 60 "$@" -C "$work/cert" localhost \
            "$port" < <(printf 'abc\ndef\n')
        cut_off "$@"
    done
    timeout 60 "$@" localhost "$port" >"$work/out" 2>"$work/err" </dev/null
    [ $? -eq 1 ] || fail "wrong exit status without a server"
    grep -q "^tls_client: localhost port $port: connect: " "$work/err" ||
        fail "wrong message without a server"
    "$@" extra >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" --help | grep -q '^usage: tls_client' || fail "there is no help"
}
