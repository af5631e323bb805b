# The checks of the example curl_fetch, with nginx.  Sourced by check.sh, after
# examples_net.sh.
# shellcheck shell=bash disable=SC2154

# Runs the program, and compares its exit status, the lines that it prints
# before the last one, and its errors.
fetches() { # STATUS LINES ERRORS COMMAND...
    local wanted=$1 lines=$2 errors=$3 status
    shift 3
    limited "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "exit status $status: $*"
    printf '%s' "$lines" | cmp -s - <(sed '$d' "$work/out") ||
        fail "other pages than $(printf '%q' "$lines")"
    tail -n 1 "$work/out" | grep -qE \
        '^[0-9]+ of [0-9]+ pages, [0-9]+ bytes in [0-9.]+ s$' ||
        fail "the time is not printed"
    sed -E 's/ after [0-9]+ ms:.*//' "$work/err" >"$work/errors"
    printf '%s' "$errors" | cmp -s - "$work/errors" ||
        fail "other errors than $(printf '%q' "$errors")"
}

check_example_curl_fetch() {
    if [ -z "${NGINX_CA:-}" ]; then
        bash "$here/nginx.sh" bash "$here/check.sh" "$name" "$@"
        exit
    fi
    check_example_curl_fetch_good "$@"
    check_example_curl_fetch_errors "$@"
    check_example_curl_fetch_end "$@"
}

check_example_curl_fetch_good() {
    local i urls=() local_url=${NGINX_HTTP2/127.0.0.1/localhost}
    fetches 0 "$NGINX_HTTP2/page: status 200, 1024 bytes, HTTP/2
$NGINX_PLAIN/large: status 200, 3000000 bytes, HTTP/1.1
$NGINX_HTTP1/page: status 200, 1024 bytes, HTTP/1.1
$local_url/page: status 200, 1024 bytes, HTTP/2
" '' "$@" --cacert "$NGINX_CA" "$NGINX_HTTP2/page" "$NGINX_PLAIN/large" \
        "$NGINX_HTTP1/page" "$local_url/page"
    for ((i = 0; i < 100; i++)); do
        urls+=("$NGINX_HTTP1/page")
    done
    limited "$@" -k "${urls[@]}" >"$work/out" 2>"$work/err" ||
        fail "exit status $? of 100 transfers"
    [ "$(grep -c ': status 200, 1024 bytes, ' "$work/out")" -eq 100 ] ||
        fail "not all pages were fetched"
    grep -q '^100 of 100 pages, 102400 bytes in ' "$work/out" ||
        fail "the pages are not counted"
}

# The limit ends what is slow, and the rest counts.
check_example_curl_fetch_errors() {
    fetches 1 "$NGINX_PLAIN/no: status 404, 153 bytes, HTTP/1.1
$NGINX_PLAIN/page: status 200, 1024 bytes, HTTP/1.1
" 'curl_fetch: http://127.0.0.1:1/: Failed to connect to 127.0.0.1 port 1
curl_fetch: file:///dev/null: Protocol "file" not supported or disabled in libcurl
' "$@" "$NGINX_PLAIN/no" http://127.0.0.1:1/ file:///dev/null \
        "$NGINX_PLAIN/page"
    fetches 1 "$NGINX_HTTP2/page: status 200, 1024 bytes, HTTP/2
" "curl_fetch: $NGINX_HTTP2/slow: timed out
curl_fetch: $NGINX_PLAIN/slow: timed out
" "$@" -k -t 1 "$NGINX_HTTP2/slow" "$NGINX_HTTP2/page" "$NGINX_PLAIN/slow"
    limited "$@" "$NGINX_HTTP2/page" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "an unknown certificate has another exit status"
    grep -q "^curl_fetch: $NGINX_HTTP2/page: SSL certificate problem: " \
        "$work/err" || fail "an unknown certificate is not told"
}

# Prints how many requests nginx has received so far.
requests() {
    local line
    exec 4<>"/dev/tcp/127.0.0.1/${NGINX_PLAIN##*:}"
    printf 'GET /status HTTP/1.0\r\n\r\n' >&4
    while read -r line <&4; do
        [[ ! $line =~ ^[0-9]+\ [0-9]+\ ([0-9]+) ]] ||
            printf '%s' "${BASH_REMATCH[1]}"
    done
    exec 4>&-
}

check_example_curl_fetch_end() {
    local usage before
    before=$(requests)
    "$@" -t 200 "$NGINX_PLAIN/slow" >"$work/out" 2>"$work/err" &
    server=$!
    until [ "$(requests)" -gt $((before += 1)) ]; do
        kill -0 "$server" 2>/dev/null || fail "ended early"
        pause
    done
    end_with TERM 130
    [ -z "$(cat "$work/out" "$work/err")" ] ||
        fail "prints something after SIGTERM"
    if [ -c /dev/full ]; then
        limited "$@" "$NGINX_PLAIN/page" >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
        grep -q '^curl_fetch: cannot write' "$work/err" ||
            fail "a full disk is not told"
    fi
    for usage in "" "-t 0 x" "-C" "-x x"; do
        # shellcheck disable=SC2086
        "$@" $usage >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $usage"
    done
    "$@" --help | grep -q '^usage: curl_fetch' || fail "--help prints no usage"
}
