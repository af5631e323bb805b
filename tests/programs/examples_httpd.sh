# The example http_server, tested with curl, wrk, ab and h2load where they are
# installed, and with hostile clients.  Sourced by check.sh, after
# examples_net.sh.

# Fetches a path.  Prints the status, and stores the body in $work/body.
fetch() { # PATH CURL-OPTION...
    local path=$1
    shift
    timeout 60 curl -sS --path-as-is -o "$work/body" -w '%{http_code}' "$@" \
        "http://127.0.0.1:$port$path" 2>"$work/curl" ||
        fail "curl $path: $(cat "$work/curl")"
}

expect_status() { # STATUS PATH CURL-OPTION...
    local expected=$1 status
    shift
    status=$(fetch "$@") || exit 1
    [ "$status" = "$expected" ] || fail "$1: $status instead of $expected"
}

make_site() {
    mkdir -p "$work/site/sub" "$work/site/list"
    head -c 1024 /dev/urandom >"$work/site/small.bin"
    head -c 65536 /dev/urandom >"$work/site/middle.bin"
    head -c 3000000 /dev/urandom >"$work/site/large.bin"
    echo index >"$work/site/sub/index.html"
    : >"$work/site/list/<b>&\"'.txt"
    echo secret >"$work/secret"
    ln -s ../secret "$work/site/out"
    ln -s .. "$work/site/up"
    ln -s sub/index.html "$work/site/in"
    mkfifo "$work/site/fifo"
}

check_http_files() {
    local name
    for name in small middle large; do
        expect_status 200 "/$name.bin"
        cmp -s "$work/body" "$work/site/$name.bin" || fail "$name.bin differs"
        expect_status 206 "/$name.bin" -r 1000-1009
        tail -c +1001 "$work/site/$name.bin" | head -c 10 |
            cmp -s - "$work/body" || fail "a range of $name.bin differs"
    done
    head -c 1000000 "$work/site/large.bin" >"$work/part"
    timeout 60 curl -sS -C - -o "$work/part" \
        "http://127.0.0.1:$port/large.bin" || fail "curl -C: $?"
    cmp -s "$work/part" "$work/site/large.bin" || fail "a resumed file differs"
    expect_status 301 /sub
    expect_status 200 /sub/
    [ "$(cat "$work/body")" = index ] || fail "not index.html"
    expect_status 200 /list/
    grep -qF '<a href="./%3Cb%3E%26%22%27.txt">&lt;b&gt;&amp;&quot;&#39;.txt' \
        "$work/body" || fail "the listing is not escaped"
    expect_status 200 /in
    for name in /out /up/secret /none /none/ /fifo /small.bin/; do
        expect_status 404 "$name"
    done
    for name in /../secret /%2e%2e/secret /sub/..%2f../secret; do
        expect_status 400 "$name"
    done
    expect_status 304 /small.bin -z "$work/site/small.bin"
    timeout 60 curl -sS --etag-save "$work/etag" -o "$work/body" \
        "http://127.0.0.1:$port/small.bin"
    expect_status 304 /small.bin --etag-compare "$work/etag"
    head -c 1024 /dev/urandom >"$work/site/small.bin" # The same size.
    expect_status 200 /small.bin --etag-compare "$work/etag"
}

check_http_json() {
    expect_status 200 /api/count -d $'a\nb\n'
    grep -qx '{"bytes":4,"lines":2}' "$work/body" || fail "counted wrongly"
    expect_status 200 /api/count -X POST -H 'Transfer-Encoding: chunked' \
        -H Expect: -T "$work/site/middle.bin"
    grep -q '{"bytes":65536,' "$work/body" || fail "chunks counted wrongly"
    expect_status 413 /api/count -X POST -T "$work/site/large.bin"
    expect_status 405 /api/count
    expect_status 200 /api/status
}

# Each of them as it is used for measuring.
check_http_load() {
    local url=http://127.0.0.1:$port
    if command -v wrk >/dev/null; then
        timeout 60 wrk -t1 -c20 -d1s "$url/small.bin" >"$work/load" 2>&1 ||
            fail "wrk: $(cat "$work/load")"
        grep -qE 'Socket errors|Non-2xx' "$work/load" &&
            fail "wrk: $(cat "$work/load")"
    fi
    if command -v ab >/dev/null; then
        timeout 60 ab -q -k -n 200 -c 10 "$url/middle.bin" \
            >"$work/load" 2>&1 || fail "ab -k: $(cat "$work/load")"
        grep -q 'Failed requests: *0$' "$work/load" || fail "ab -k failed"
        timeout 60 ab -q -n 200 -c 10 "$url/small.bin" >"$work/load" 2>&1 ||
            fail "ab: $(cat "$work/load")"
        grep -q 'Failed requests: *0$' "$work/load" || fail "ab failed"
    fi
    if command -v h2load >/dev/null; then
        timeout 60 h2load --h1 -n 200 -c 10 -m 5 "$url/small.bin" \
            >"$work/load" 2>&1 || fail "h2load: $(cat "$work/load")"
        grep -q '200 succeeded, 0 failed' "$work/load" || fail "h2load failed"
    fi
}

# Silent clients, one that resets, and one that never reads.
check_http_hostile() {
    local i fds=() fd
    for i in {1..50}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
        printf 'GET /small.bin HTTP/1.1\r\nA: ' >&"$fd"
        fds+=("$fd")
    done
    exec {fd}<>"/dev/tcp/127.0.0.1/$port"
    for i in {1..20}; do
        printf 'GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n' >&"$fd"
    done
    fds+=("$fd")
    expect_status 200 /small.bin
    for fd in "${fds[@]}"; do
        exec {fd}>&- # Unread answers make the system send a reset.
    done
    expect_status 200 /small.bin
}

# One message, and the exit status 1.
check_http_start() { # COMMAND...
    local status
    timeout 60 "$@" -p "$port" -j 3 "$work/site" >"$work/other" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status if the port is in use"
    [ "$(grep -c 'cannot listen .*: address already in use' "$work/err")" = 1 ] ||
        fail "a port in use is not told once"
    # The first loops have begun when there is no descriptor for another one.
    (ulimit -n 50 && exec timeout 60 "$@" -p 0 -j 60 "$work/site") \
        >"$work/other" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status if a loop cannot start"
    # A debug loop may report that the start took long.
    [ "$(grep -vcE 'limit of [0-9]+ open files|^aloop: ' "$work/err")" = 1 ] ||
        fail "a loop that cannot start is not told once"
    grep -q listening "$work/other" && fail "listens with too few loops"
}

# More clients than there are descriptors do not keep a file from being opened.
check_http_descriptors() { # COMMAND...
    local i first fd fds=() line
    start_listening bash -c 'ulimit -n 64 && exec "$@"' - "$@" -p 0 "$work/site"
    # valgrind keeps some for itself.
    grep -qE 'limit of [0-9]+ open files permits only [12][0-9] connections' \
        "$work/err" ||
        fail "too few descriptors are not told"
    exec {first}<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
    printf 'GET /small.bin HTTP/1.1\r\n' >&"$first"
    for i in {1..80}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
        fds+=("$fd")
    done
    for fd in "${fds[@]:0:15}"; do # Meanwhile the others are accepted, too.
        printf 'GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n' >&"$fd"
        read -r -t 60 line <&"$fd"
    done
    printf 'Host: x\r\n\r\n' >&"$first"
    read -r -t 60 line <&"$first"
    [ "$line" = $'HTTP/1.1 200 OK\r' ] || fail "'$line' without descriptors"
    exec {first}>&-
    for fd in "${fds[@]}"; do
        exec {fd}>&-
    done
    end_with TERM 0
}

# A request that has begun is answered although the server is being ended.
check_http_end() {
    local line
    exec 5<>"/dev/tcp/127.0.0.1/$port" || fail "refused"
    printf 'POST /api/count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na' \
        >&5
    expect_status 200 /api/status
    kill -s TERM "$server"
    while (exec 6<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        pause # Until it does not listen any more.
    done
    printf 'b' >&5
    read -r -t 60 line <&5
    [ "$line" = $'HTTP/1.1 200 OK\r' ] || fail "answered '$line' at the end"
    exec 5>&-
    wait "$server" || fail "exit status $? after SIGTERM"
    server=
}

# A reader of the log that has stopped delays neither answers nor the end.
check_http_log() { # COMMAND...
    local line long
    mkfifo "$work/log"
    exec 7<>"$work/log"
    "$@" -p 0 -l "$work/site" >&7 2>"$work/err" 7<&- &
    server=$!
    read -r -t 60 line <&7 || fail "does not listen"
    port=${line##* }
    long=$(head -c 7900 /dev/zero | tr '\0' l)
    timeout 120 curl -sS -o /dev/null \
        "http://127.0.0.1:$port/[1-200]$long" 2>"$work/curl" ||
        fail "not answered while nobody reads the log: $(cat "$work/curl")"
    end_with TERM 0
    grep -q '^http_server: cannot write the log: timed out$' "$work/err" &&
        grep -qE '^http_server: [0-9]+ lines of the log were dropped$' \
            "$work/err" || fail "a log that is not read is not told"
    exec 7<&-
}

# In a full pipe, the lines of several loops are not mixed.
check_http_log_loops() { # COMMAND...
    local line long
    exec 7<>"$work/log"
    "$@" -p 0 -j 2 -l "$work/site" >&7 2>"$work/err" 7<&- &
    server=$!
    read -r -t 60 line <&7 || fail "does not listen"
    port=${line##* }
    long=$(head -c 7900 /dev/zero | tr '\0' l)
    timeout 120 curl -sS -o /dev/null -H 'Connection: close' \
        "http://127.0.0.1:$port/[1-100]$long" 2>"$work/curl" ||
        fail "not answered by two loops: $(cat "$work/curl")"
    timeout 60 head -n 100 <&7 >"$work/lines"
    [ "$(grep -cE '^[0-9.]+:[0-9]+ - - \[[^]]*\] "GET /[0-9]+l+" 404 [0-9. ]+$' \
        "$work/lines")" = 100 ] || fail "the lines of two loops are mixed"
    end_with TERM 0
    exec 7<&-
}

# No descriptor of the server gets the number of its closed output.
check_http_closed_output() { # COMMAND...
    free_port
    "$@" -p "$port" -l "$work/site" >&- 2>"$work/err" &
    server=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$server" 2>/dev/null ||
            fail "needs an output: $(cat "$work/err")"
        pause
    done
    expect_status 404 /no-such-file
    end_with TERM 0
}

check_example_http_server() {
    need_tool curl
    trap 'end_helpers; finish' EXIT
    check_listening_errors http_server -- "$@"
    make_site
    start_listening "$@" -p 0 -d "$work/site"
    check_http_files
    check_http_json
    check_http_start "$@"
    check_http_load
    check_http_hostile
    check_http_end
    check_http_descriptors "$@"
    start_listening "$@" -p 0 -j 2 -l -L "$work/site"
    expect_status 200 /out
    expect_status 403 /list/
    until_file_has "$work/out" '"GET /out" 200 7 '
    expect_status 404 '/"forged\'
    until_file_has "$work/out" '"GET /\x22forged\x5c" 404 '
    end_with TERM 0
    check_http_log "$@"
    check_http_log_loops "$@"
    check_http_closed_output "$@"
}
