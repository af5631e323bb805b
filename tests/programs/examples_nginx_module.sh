# The checks of the module of nginx, with pages of another nginx.  Sourced by
# check.sh, after examples_http.sh.
# shellcheck shell=bash disable=SC2154

# Starts nginx with the module and two workers, and sets $host, its process, and
# $host_url.  The checker that runs the tests, if any, runs it.
start_host() { # [RUNNER...] MODULE
    local PATH=$PATH:/usr/sbin:/usr/local/sbin user='' text
    [ "$(id -u)" != 0 ] || user='user root;'
    text='<!--#include virtual="/page" -->'
    printf '%s' "$text" "$text" >"$work/www/twice.html"
    free_port
    cat >"$work/host" <<CONF
daemon off;
$user
load_module ${*: -1};
worker_processes 2;
pid $work/host_pid;
error_log $work/host_error;
events { worker_connections 1024; }
http {
    log_format status '\$request_uri \$status';
    access_log $work/host_access status;
    client_body_temp_path $work/t11;
    proxy_temp_path $work/t12;
    fastcgi_temp_path $work/t13;
    uwsgi_temp_path $work/t14;
    scgi_temp_path $work/t15;
    aloop_limit 1d;
    server {
        listen 127.0.0.1:$port http2;
        listen 127.0.0.1:$((port + 1));
        root $work/www;
        location = /page { aloop_fetch $url/page; }
        location = /large { aloop_fetch $url/large; }
        location = /no { aloop_fetch $url/no; }
        location = /refused { aloop_fetch http://127.0.0.1:1/; }
        location = /crawl { aloop_fetch $url/crawl; }
        location = /limit { aloop_fetch $url/crawl; aloop_limit 100ms; }
        location = /twice.html { ssi on; }
        location = /short { aloop_sleep 20ms; }
        location = /seconds { aloop_sleep 3s; }
        location = /status { stub_status; access_log off; }
        location = /day { aloop_sleep 1d; }
    }
}
CONF
    "${@:1:$#-1}" nginx -e "$work/host_error" -c "$work/host" \
        >"$work/nginx2" 2>&1 &
    host=$!
    h2_url=http://127.0.0.1:$port
    host_url=http://127.0.0.1:$((port + 1))
    until_open "$((port + 1))"
}

finish_host() {
    [ -z "$host" ] || { kill -TERM "$host" && wait "$host"; } 2>/dev/null
    finish
}

# Ends the server, which must not leave or report anything.  Of the leaks that
# ASan finds, those of nginx do not count: a worker frees less than everything.
end_host() { # SIGNAL
    local status faults='open socket|aborting|\[emerg\]|runtime error'
    faults+='|ERROR: AddressSanitizer|^ *#1 .*ngx_http_aloop_module'
    kill -s "$1" "$host"
    wait "$host"
    status=$?
    host=
    [ $status -eq 0 ] ||
        fail "exit status $status after $1: $(tail "$work/host_error")"
    ! cat "$work/host_error" "$work/nginx2" | grep -E "$faults" \
        >"$work/err" || fail "nginx reports an error after $1"
}

# Requests a path COUNT times over 50 connections, and expects as many answers
# with that status.
answers() { # COUNT STATUS PATH [CURL-OPTION...]
    limited curl -sS --parallel --parallel-max 50 --parallel-immediate \
        -o /dev/null -w '%{http_code}\n' "${@:4}" "$host_url$3?[1-$1]" \
        >"$work/out" 2>"$work/err" || fail "curl fails: $?"
    [ "$(grep -cx "$2" "$work/out")" -eq "$1" ] ||
        fail "$(grep -cx "$2" "$work/out") of $1 answers are $2"
}

# Waits until so many requests have ended with a status in the access log.
until_logged() { # COUNT TEXT
    until [ "$(grep -cx "$2" "$work/host_access")" -ge "$1" ]; do
        pause
    done
}

check_example_nginx_module() {
    local url host_url h2_url
    host=
    trap finish_host EXIT
    need_tool curl
    need_tool h2load
    start_nginx
    start_host "$@"
    check_nginx_answers
    check_nginx_cancel
    check_nginx_reload
    check_nginx_worker
    check_nginx_quit "$@"
}

check_nginx_answers() {
    local page
    page=$(cat "$work/www/page")
    gets 0 "$page" curl -sS "$host_url/page"
    gets 0 "$page$page" curl -sS "$host_url/twice.html"
    gets 0 $'slept\n' curl -sS -d 'a body' "$host_url/short"
    gets 0 '' curl -sS -o "$work/ours" "$host_url/large"
    same "$work/www/large" "$work/ours"
    [ "$(limited curl -sSI "$host_url/page" | tr -d '\r' |
        grep -ci '^content-length: 1024$')" -eq 1 ] || fail "HEAD fails"
    answers 1 404 /no
    answers 1 502 /refused
    grep -q 'connecting: connection refused' "$work/host_error" ||
        fail "a refused connection is not told"
    answers 1 504 /limit
    took_ms answers 500 200 /short
    [ "$took" -ge 200 ] || fail "500 sleeps take $took ms"
    answers 500 200 /page
    for page in page short; do
        limited h2load -n 200 -c 2 -m 50 "$h2_url/$page" >"$work/out" 2>&1
        grep -q '^status codes: 200 2xx' "$work/out" ||
            fail "streams of HTTP/2 are not answered: $page"
    done
}

# What the other server sends ends with the client, and so does a sleep.
check_nginx_cancel() {
    local i requests clients=()
    requests=$(wc -l <"$work/access")
    for i in crawl day; do
        for _ in 1 2 3 4 5; do
            curl -sS "$host_url/$i" >"$work/gone" 2>&1 &
            clients+=($!)
        done
    done
    curl -sS --http2-prior-knowledge "$h2_url/crawl" >"$work/gone" 2>&1 &
    clients+=($!)
    until [ "$(in_progress "$url")" -eq 6 ]; do
        pause
    done
    answers 1 200 /short
    kill "${clients[@]}"
    wait "${clients[@]}" 2>/dev/null
    until_logged 6 '/crawl 499'
    until_logged 5 '/day 499'
    until [ "$(wc -l <"$work/access")" -eq $((requests + 6)) ]; do
        pause
    done
}

# How many requests of a server are in progress, apart from this one.
in_progress() { # URL
    limited curl -sS "$1/status" | awk '/Writing/ { print $4 - 1 }'
}

# Each request is answered, by old workers or by new ones.
check_nginx_reload() {
    local load i
    (answers 2000 200 /short) &
    load=$!
    for i in 1 2 3 4; do
        until [ "$(grep -c '^/short?.* 200' "$work/host_access")" -ge \
            $((i * 400 + 800)) ]; do
            kill -0 "$load" 2>/dev/null || fail "the load has ended early"
            pause
        done
        kill -HUP "$host"
    done
    wait "$load" || fail "requests are lost in a reload"
    until [ "$(workers | wc -l)" -eq 2 ]; do
        pause
    done
    ! grep -E 'open socket|aborting' "$work/host_error" >"$work/err" ||
        fail "an old worker has left a socket"
}

workers() {
    tr ' ' '\n' <"/proc/$host/task/$host/children" | grep .
}

# A worker that is killed is replaced, and the other one answers.
check_nginx_worker() {
    local worker
    worker=$(workers | head -n 1)
    kill -KILL "$worker"
    until [ "$(workers | grep -vcx "$worker")" -eq 2 ]; do
        pause
    done
    answers 200 200 /short
    answers 200 200 /page
}

# Requests that wait are answered before a graceful end, and dropped by the
# other one.
check_nginx_quit() {
    local load
    (answers 50 200 /seconds) &
    load=$!
    until [ "$(in_progress "$host_url")" -ge 50 ]; do
        pause
    done
    end_host QUIT
    wait "$load" || fail "requests are lost in a graceful end"
    start_host "$@"
    curl -sS "$host_url/crawl" "$host_url/day" >"$work/gone" 2>&1 &
    load=$!
    until [ "$(in_progress "$url")" -eq 1 ]; do
        pause
    done
    end_host TERM
    wait "$load" && fail "a request is answered after TERM"
    start_host "$@"
    check_nginx_death
    end_host QUIT
}

# The other server ends in the middle of its answer, and then refuses.
check_nginx_death() {
    local request
    (answers 1 502 /crawl) &
    request=$!
    until [ "$(in_progress "$url")" -eq 1 ]; do
        pause
    done
    kill -TERM "$server"
    wait "$server"
    server=
    wait "$request" || fail "a page is not refused after its server's end"
    grep -q 'reading the body: the connection ended' "$work/host_error" ||
        fail "the end of a connection is not told"
    answers 1 502 /page
    answers 50 200 /short
}

# The same with an allocation of the module that fails; see refuse_each().
check_example_nginx_module_memory() {
    local url host_url h2_url
    host=
    trap finish_host EXIT
    need_tool curl
    start_nginx
    refuse_in ngx_http_aloop_module 1 "$@"
    start_host "$@"
    refuse_each '^50[02]$' get_status /short
    refuse_each '^50[02]$' get_status /page
    refuse_each '^500$' get_status /day -m 0.2
    answers 50 200 /short
    answers 50 200 /page
    end_host QUIT
    stop_nginx
}

get_status() { # PATH [CURL-OPTION...]
    limited curl -s -o /dev/null -w '%{http_code}\n' "${@:2}" "$host_url$1"
}
