# The example http2_get, tested with nghttpd and nginx.  Sourced by check.sh,
# after examples_net.sh, examples_http.sh and examples_tls.sh.
# shellcheck shell=bash disable=SC2154

# Starts nghttpd at a free port, which serves $work/www, with TLS or without.
start_nghttpd() { # [KEY CERTIFICATE]
    local PATH=$PATH:/usr/sbin:/usr/local/sbin plain=--no-tls
    need_tool nghttpd
    [ $# = 0 ] || plain=
    free_port
    # shellcheck disable=SC2086
    nghttpd $plain -a 127.0.0.1 -d "$work/www" "$port" "$@" \
        >"$work/nghttpd" 2>&1 &
    server=$!
    until_open "$port"
}

# Starts nginx with HTTP/2 over TLS.  $work/access has the number of the
# connection of each request.
start_nginx_http2() { # [PROTOCOL]
    local PATH=$PATH:/usr/sbin:/usr/local/sbin user=
    need_tool nginx
    [ "$(id -u)" != 0 ] || user='user root;'
    free_port
    cat >"$work/conf" <<CONF
daemon off;
$user
worker_processes 1;
pid $work/pid;
error_log $work/error;
events { worker_connections 1024; }
http {
    log_format connection '\$connection \$request_method \$status';
    access_log $work/access connection;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$port ssl ${1-http2};
        ssl_certificate $work/cert;
        ssl_certificate_key $work/key;
        ssl_protocols TLSv1.2 TLSv1.3;
        root $work/www;
        location = /posted { return 200 "\$request_method \$content_length"; }
        location = /told { return 200 "\$http_accept \$host"; }
    }
}
CONF
    nginx -e "$work/error" -c "$work/conf" >"$work/nginx" 2>&1 &
    server=$!
    until_open "$port"
    url=https://localhost:$port
}

# Runs the program; compares its exit status and what it prints.
http2_gets() { # STATUS OUTPUT COMMAND...
    local wanted=$1 output=$2 status
    shift 2
    limited "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "exit status $status: ${*: -2}"
    printf '%s' "$output" | cmp -s - "$work/out" || fail "wrong: ${*: -2}"
}

http2_tells() { # TEXT
    grep -qF -- "$1" "$work/err" || fail "does not tell: $1"
}

check_example_http2_get() {
    local count=10000 url
    [ "${ALOOP_TEST_PATIENCE:-1}" = 1 ] || count=500
    need_tool openssl
    make_certificate
    mkdir "$work/www"
    head -c 10240 /dev/zero | tr '\0' p >"$work/www/page"
    head -c 3000000 /dev/urandom >"$work/www/large"
    printf one >"$work/www/one"
    printf two >"$work/www/two"
    check_example_http2_get_usage "$@"
    start_nghttpd
    url=http://127.0.0.1:$port
    check_example_http2_get_pages "$@"
    check_example_http2_get_many "$@"
    check_example_http2_get_stopped "$@"
    start_nghttpd "$work/key" "$work/cert"
    url=https://localhost:$port
    check_example_http2_get_pages "$@" -C "$work/cert"
    check_example_http2_get_many "$@" -C "$work/cert"
    check_example_http2_get_untrusted "$@"
    end_quietly
    check_example_http2_get_nginx "$@"
}

end_quietly() {
    kill "$server"
    wait "$server"
    server=
}

check_example_http2_get_usage() {
    local wrong
    for wrong in '' '/page' 'http://a/ http://b/' '-n 0 http://a/' \
        '-n 1 -o d http://a/' '-H x http://a/' '-x http://a/' 'ftp://a/'; do
        # shellcheck disable=SC2086
        "$@" $wrong >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $wrong"
    done
    "$@" --help | grep -q '^usage: http2_get' || fail "--help prints no usage"
    http2_gets 1 '' "$@" http://127.0.0.1:1/
    http2_tells 'http2_get: 127.0.0.1:1: connection refused'
}

check_example_http2_get_pages() {
    http2_gets 0 onetwoone "$@" -v "$url/one" /two "$url/one"
    printf '%s\n' '/one: 200, 3 bytes' '/two: 200, 3 bytes' \
        '/one: 200, 3 bytes' | cmp -s - "$work/err" ||
        fail "the pages are not told"
    limited "$@" "$url/large" >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    cmp -s "$work/www/large" "$work/out" || fail "the large page differs"
    limited "$@" "$url/one" /no >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a missing page is no error"
    http2_tells 'http2_get: /no: 404, '
    rm -rf "$work/saved"
    limited "$@" -o "$work/saved" "$url/large" /one?a/b >"$work/out" \
        2>"$work/err" || fail "exit status $?"
    grep -q '^2 of 2 pages, 3000003 bytes in ' "$work/out" ||
        fail "the pages are not counted"
    cmp -s "$work/www/large" "$work/saved/00001-large" ||
        fail "the large page was not saved"
    cmp -s "$work/www/one" "$work/saved/00002-one-a-b" ||
        fail "a page was not saved"
    [ -c /dev/full ] || return 0
    limited "$@" "$url/one" >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || fail "a full disk has another exit status"
    http2_tells 'http2_get: cannot write'
}

check_example_http2_get_many() {
    limited "$@" -t 1000 -n $count "$url/page" >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    grep -q "^$count of $count pages, $((count * 10240)) bytes in " \
        "$work/out" || fail "not all pages were fetched"
    limited "$@" -t 1000 -n 200 -m 1 "$url/page" "$url/two" >"$work/out" \
        2>"$work/err" || fail "exit status $?"
    grep -q "^200 of 200 pages, $((100 * 10243)) bytes in " "$work/out" ||
        fail "not all pages were fetched one by one"
}

# Waits until a client is connected to the server, which is stopped.
until_connected() {
    until grep -q "^ *[0-9]*: [0-9A-F:]* 0100007F:$(printf %04X "$port") 01 " \
        /proc/net/tcp; do
        pause
    done
}

# The server does not answer: a limit, an interrupt, and the server's death.
check_example_http2_get_stopped() {
    local nghttpd=$server client
    [ -r /proc/net/tcp ] || return 0
    trap '[ -z "$server" ] || kill -CONT "$server"; end_helpers; finish' EXIT
    kill -STOP "$nghttpd"
    http2_gets 1 '' "$@" -t 0.2 "$url/one" /two
    http2_tells "http2_get: 127.0.0.1:$port: timed out"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "the limit is told twice"
    "$@" -t 1000 "$url/one" >"$work/out" 2>"$work/err" &
    server=$!
    until_connected
    end_with TERM 130
    server=$nghttpd
    "$@" -t 1000 "$url/one" /two >"$work/out" 2>"$work/err" &
    client=$!
    helpers+=("$client")
    until_connected
    kill -KILL "$nghttpd"
    wait "$nghttpd" 2>/dev/null
    server=
    wait "$client"
    [ $? -eq 1 ] || fail "the death of the server has another exit status"
    grep -Eq 'connection (reset|refused)|ended too early' "$work/err" ||
        fail "the death of the server is not told"
}

check_example_http2_get_untrusted() {
    http2_gets 1 '' "$@" "$url/one" /two
    http2_tells 'self-signed certificate'
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "the reason is told twice"
    http2_gets 0 one "$@" -k "$url/one"
}

# nginx ends each connection after 1,000 requests (keepalive_requests).
check_example_http2_get_nginx() {
    start_nginx_http2
    check_example_http2_get_pages "$@" -C "$work/cert"
    http2_gets 0 'POST 5' "$@" -k -d 'a b c' "$url/posted"
    http2_gets 0 'text/html localhost' "$@" -k -H 'Accept:  text/html' \
        "$url/told"
    rm "$work/access"
    stop_nginx
    start_nginx_http2
    check_example_http2_get_many "$@" -k
    stop_nginx
    [ "$(cut -d' ' -f1 "$work/access" | uniq | wc -l)" -ge $((count / 1000)) ] ||
        fail "the connections were not ended by nginx"
    start_nginx_http2 ''
    http2_gets 1 '' "$@" -k "$url/one"
    grep -Eq 'does not offer HTTP/2|no application protocol' "$work/err" ||
        fail "a server without HTTP/2 is not told"
    http2_gets 1 '' "$@" "http://127.0.0.1:$port/one"
    http2_tells 'http2_get: /one: protocol error'
    stop_nginx
}
