# The examples that speak HTTP, tested with nginx.  Sourced by check.sh.

# Starts nginx with a configuration of its own at a free port, and sets $url.
# It serves $work/www, logs the number of the connection of each request in
# $work/access, and ends with $server.  With a certificate it speaks TLS.
start_nginx() { # [CERTIFICATE PROTOCOL...]
    local PATH=$PATH:/usr/sbin:/usr/local/sbin user= tls= files=
    [ $# = 0 ] || tls=' ssl' files="ssl_certificate $1;
        ssl_certificate_key $1; ssl_protocols ${*:2};"
    need_tool nginx
    [ "$(id -u)" != 0 ] || user='user root;'
    mkdir -p "$work/www/list"
    head -c 1024 /dev/zero | tr '\0' p >"$work/www/page"
    head -c 3000000 /dev/urandom >"$work/www/large"
    head -c 100000 /dev/zero | tr '\0' s >"$work/www/pieces.html"
    free_port
    cat >"$work/conf" <<CONF
daemon off;
$user
worker_processes 1;
pid $work/pid;
error_log $work/error;
events { worker_connections 1024; }
http {
    log_format connection
        '\$connection \$request_method \$status \$ssl_session_reused';
    access_log $work/access connection;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    keepalive_requests 1000000;
    client_max_body_size 100m;
    server {
        listen 127.0.0.1:$port$tls;
        $files
        root $work/www;
        location = /pieces.html { ssi on; } # Its length is not known.
        location = /away { return 302 /page; }
        location = /loop { return 302 /loop; }
        location = /posted { return 200 "\$request_method \$content_length"; }
        location = /part { # Bytes 5 to 9 of 100 although more was asked for.
            add_header Content-Range "bytes 5-9/100";
            return 206 world;
        }
        location = /slow { alias $work/www/large; limit_rate 500k; }
        location = /crawl { alias $work/www/large; limit_rate 1k; }
        location = /status { stub_status; access_log off; }
        location = /once { keepalive_timeout 0; return 200 once; }
        location /put/ { dav_methods PUT; create_full_put_path on; }
    }
}
CONF
    nginx -e "$work/error" -c "$work/conf" >"$work/nginx" 2>&1 &
    server=$!
    until_open "$port"
    url=http://127.0.0.1:$port
}

stop_nginx() {
    kill -QUIT "$server"
    wait "$server" || fail "nginx has failed"
    server=
}

# STATUS OUTPUT COMMAND...: what is printed to standard output.
gets() {
    local wanted=$1 output=$2 status
    shift 2
    timeout 60 "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "exit status $status of ${*: -2}"
    printf '%s' "$output" | cmp -s - "$work/out" || fail "wrong: ${*: -2}"
}

same() { # FILE FILE
    cmp -s "$1" "$2" || fail "$1 differs from $2"
}

# Starts a transfer to $ours, and interrupts it when something has arrived.
interrupts() { # COMMAND...
    local nginx=$server
    rm -f "$ours"
    "$@" -o "$ours" "$url/slow" >"$work/out" 2>"$work/err" &
    server=$!
    until [ -s "$ours" ]; do
        kill -0 "$server" 2>/dev/null || fail "the transfer has ended"
        pause
    done
    end_with TERM 130
    server=$nginx
    [ "$(wc -c <"$ours")" -lt 3000000 ] || fail "it was not interrupted"
}

# An interrupted transfer is continued, but not with another version.
check_example_http_get_resumes() {
    interrupts "$@"
    gets 0 '' "$@" -c -o "$ours" "$url/large"
    same "$work/www/large" "$ours"
    [ "$(tail -n 1 "$work/access" | cut -d' ' -f3)" = 206 ] ||
        fail "the transfer was not continued"
    [ ! -e "$ours.resume" ] || fail "a note is left"
    interrupts "$@"
    head -c 3000001 /dev/urandom >"$work/www/large"
    gets 0 '' "$@" -c -o "$ours" "$url/large"
    same "$work/www/large" "$ours"
    touch -t 200101010000 "$ours" # Without a note, the page is newer.
    gets 1 '' "$@" -c -o "$ours" "$url/large"
    grep -q ': the page was changed later; try without -c$' "$work/err" ||
        fail "a changed page is not told"
    same "$work/www/large" "$ours"
    gets 1 '' "$@" -T "$work/no" "$url/put/new"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "an error is told twice"
    [ -c /dev/full ] || return 0
    "$@" "$url/page" >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || fail "a full disk has another exit status"
    grep -q '^http_get: output: no space left$' "$work/err" ||
        fail "a full disk is not told"
}

check_example_http_get() {
    local ours=$work/ours
    start_nginx
    gets 0 "$(cat "$work/www/page")" "$@" "$url/page"
    gets 0 "$(cat "$work/www/pieces.html")" "$@" "$url/pieces.html"
    gets 0 "$(cat "$work/www/page")" "$@" "$url/away"
    gets 0 $'status: 200\nlength: 1024\ntype: text/plain\n' \
        "$@" -I "$url/page"
    gets 0 'POST 5' "$@" -d 'a b c' "$url/posted"
    gets 0 '' "$@" -o "$ours" "$url/large"
    same "$work/www/large" "$ours"
    head -c 1234567 "$work/www/large" >"$ours"
    gets 0 '' "$@" -c -o "$ours" "$url/large"
    same "$work/www/large" "$ours"
    gets 0 '' "$@" -c -o "$ours" "$url/large"
    same "$work/www/large" "$ours"
    gets 0 '' "$@" -T "$ours" "$url/put/new"
    same "$work/www/large" "$work/www/put/new"
    [ "$(cut -d' ' -f2-3 "$work/access" | tail -n 4)" = $'GET 200
GET 206
GET 416
PUT 201' ] || fail "the requests are not those expected"
    gets 0 '' "$@" -H 'If-None-Match: *' -o "$ours" "$url/large"
    [ "$(tail -n 1 "$work/access" | cut -d' ' -f3)" = 304 ] ||
        fail "nginx does not answer 304"
    same "$work/www/large" "$ours"
    printf 'hello' >"$ours"
    gets 1 '' "$@" -c -o "$ours" "$url/part"
    grep -q ': status 206$' "$work/err" || fail "a short range is not told"
    [ "$(cat "$ours")" = hello ] || fail "a short range was written"
    gets 1 '' "$@" "$url/no"
    grep -q "^http_get: $url/no: status 404$" "$work/err" ||
        fail "a missing page is not told"
    gets 1 '' "$@" "$url/loop"
    grep -q 'redirect: too many redirects$' "$work/err" ||
        fail "a loop is not told"
    check_example_http_get_resumes "$@"
    gets 2 '' "$@"
    gets 2 '' "$@" -c -o "$ours" -d x "$url/posted"
    gets 2 '' "$@" -d x -T "$ours" "$url/put/new"
    "$@" --help | grep -q '^usage: http_get' || fail "--help prints no usage"
    stop_nginx
    gets 1 '' "$@" "$url/page"
    grep -q '^http_get: connecting: connection refused$' "$work/err" ||
        fail "a refused connection is not told"
}

# 10,000 pages over 100 connections, fewer under a checker or an emulator.
check_example_scrape() {
    local count=10000 i urls=() status
    [ "${ALOOP_TEST_PATIENCE:-1}" = 1 ] || count=500
    start_nginx
    for ((i = 0; i < count; i++)); do
        urls+=("$url/page")
    done
    timeout 300 "$@" -n 100 "${urls[@]}" >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    grep -q "^$count of $count pages, $((count * 1024)) bytes in " \
        "$work/out" || fail "not all pages were fetched"
    [ "$(cut -d' ' -f1 "$work/access" | sort -u | wc -l)" -le 101 ] ||
        fail "the connections were not kept"
    timeout 60 "$@" --json -o "$work/saved" "$url/large" "$url/no" \
        "http://127.0.0.1:1/" "$url/pieces.html" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after errors"
    sed -E 's/, "(seconds|bytes)": [0-9.]+//g' "$work/out" >"$work/lines"
    printf '%s\n' "{\"url\": \"$url/large\", \"status\": 200}" \
        "{\"url\": \"$url/no\", \"status\": 404}" \
        "{\"url\": \"http://127.0.0.1:1/\", \"failed\": \"connecting\", \
\"error\": \"connection refused\"}" \
        "{\"url\": \"$url/pieces.html\", \"status\": 200}" |
        cmp -s - "$work/lines" || fail "the lines are not the JSON expected"
    same "$work/www/large" "$work/saved/00001-127.0.0.1-$port-large"
    same "$work/www/pieces.html" \
        "$work/saved/00004-127.0.0.1-$port-pieces.html"
    [ "$(find "$work/saved" -type f | wc -l)" -eq 2 ] ||
        fail "a partial file is left, or the body of an error is saved"
    timeout 60 "$@" -o "$work/list/no" "$url/page" >"$work/out" 2>"$work/err"
    [ $? -eq 0 ] || fail "folders are not made"
    timeout 60 "$@" -o "$work/access/no" "$url/page" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a folder in a file has another exit status"
    grep -q "^scrape: -o: $work/access/no: not a directory$" "$work/err" ||
        fail "a folder in a file is not told"
    check_example_scrape_output "$@"
    printf 'kept' >"$work/victim"
    ln -s "$work/victim" "$work/saved/00001-127.0.0.1-$port-page.part"
    timeout 60 "$@" -o "$work/saved" "$url/page" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a page was saved through a link"
    grep -q '/page: saving: ' "$work/out" || fail "the link is not told"
    [ "$(cat "$work/victim")" = kept ] || fail "a link was followed"
    check_example_scrape_list "$@"
}

# A pipe without a reader, and a full disk, end all transfers.
check_example_scrape_output() {
    local status
    mkfifo "$work/pipe"
    exec 7<>"$work/pipe" 8>"$work/pipe" 7<&-
    timeout 60 "$@" -t 300 -o "$work/ended" "$url/page" "$url/crawl" \
        >&8 2>"$work/err"
    status=$?
    exec 8>&-
    [ $status -eq 1 ] || fail "exit status $status after a pipe was closed"
    [ -z "$(find "$work/ended" -name '*.part')" ] ||
        fail "a partial file is left after a pipe was closed"
    [ -c /dev/full ] || return 0
    timeout 60 "$@" -t 300 "$url/page" "$url/crawl" >/dev/full 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status for a full disk"
    grep -q '^scrape: cannot write the output$' "$work/err" ||
        fail "a full disk is not told"
}

# URLs of a file and of standard input, before those of the command line.
check_example_scrape_list() {
    printf '%s\r\n\n  %s \n%s' "$url/page" "$url/large" "$url/away" \
        >"$work/urls"
    timeout 60 "$@" -i "$work/urls" "$url/no" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a missing page is no error"
    [ "$(sed -n 's|.*/\([a-z]*\): .*|\1|p' "$work/out" | tr '\n' ' ')" = \
        'page large away no ' ] || fail "the list was not fetched in order"
    timeout 60 "$@" -i - <"$work/urls" >"$work/out" 2>"$work/err" ||
        fail "exit status $?"
    grep -q '^3 of 3 pages, ' "$work/out" || fail "not all pages were fetched"
    timeout 60 "$@" -i - </dev/null >"$work/out" 2>"$work/err" ||
        fail "exit status $? for an empty list"
    grep -q '^0 of 0 pages, ' "$work/out" || fail "an empty list has pages"
    timeout 60 "$@" -i "$work/no" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a missing list is no error"
    grep -qi "^scrape: -i: $work/no: no such file" "$work/err" ||
        fail "a missing list is not told"
}

# Each connection but the first resumes the session of TLS of an earlier one.
check_example_https_resumes() { # PROTOCOL COMMAND...
    local protocol=$1 once
    shift
    rm "$work/access"
    start_nginx "$certificate" "$protocol"
    once=https://localhost:$port/once
    SSL_CERT_FILE=$certificate timeout 60 "$@" -n 1 "$once" "$once" "$once" \
        >"$work/out" 2>"$work/err" || fail "exit status $?"
    stop_nginx
    [ "$(cut -d' ' -f4 "$work/access" | tr -d '\n')" = .rr ] ||
        fail "no session of $protocol was resumed"
}

# The program has the bridge tls.
check_example_https() {
    local certificate=$work/certificate urls i
    need_tool openssl
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test \
        -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
        -keyout "$work/key" -out "$certificate" 2>"$work/err" ||
        fail "openssl makes no certificate"
    cat "$work/key" >>"$certificate"
    start_nginx "$certificate" TLSv1.2 TLSv1.3
    urls=()
    for ((i = 0; i < 50; i++)); do
        urls+=("https://localhost:$port/page")
    done
    SSL_CERT_FILE=$certificate timeout 60 "$@" -n 2 "${urls[@]}" \
        >"$work/out" 2>"$work/err" || fail "exit status $?"
    grep -q '^50 of 50 pages, 51200 bytes in ' "$work/out" ||
        fail "not all pages were fetched"
    [ "$(cut -d' ' -f1 "$work/access" | sort -u | wc -l)" -le 2 ] ||
        fail "the connections were not kept"
    timeout 60 "$@" "https://localhost:$port/page" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "an unknown certificate was accepted"
    grep -q '/page: starting TLS: self-signed certificate$' "$work/out" ||
        fail "the reason of the error is not told"
    stop_nginx
    check_example_https_resumes TLSv1.2 "$@"
    check_example_https_resumes TLSv1.3 "$@"
}
