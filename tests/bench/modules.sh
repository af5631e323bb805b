#!/usr/bin/env bash
# Measures the modules that run a loop inside nginx and redis-server, beside
# what these servers do without it: requests per CPU second of the server, with
# 50 clients.  Each is measured three times, in turn, and the best of each
# counts.
#
#     usage: tests/bench/modules.sh BUILD-DIRECTORY
#
# It needs Linux, wrk and redis-benchmark; the pages come from another nginx.
set -eu
modules=$(cd "$1" && pwd)/examples/bridges
. "$(dirname "${BASH_SOURCE[0]}")/programs_common.sh"
require nginx wrk redis-server redis-benchmark redis-cli curl
seconds=2 commands=20000
redis='' host=
finish_modules() {
    [ -z "$redis" ] || { kill "$redis" && wait "$redis"; } || :
    [ -z "$host" ] || { kill -QUIT "$host" && wait "$host"; } || :
    finish
}
trap finish_modules EXIT
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' p >"$work/www/page"
start_nginx
pages=127.0.0.1:$nginx_port

start_host() {
    host_port=$((nginx_port + 1)) redis_port=$((nginx_port + 2))
    [ "$(id -u)" != 0 ] || echo 'user root;' >"$work/host"
    cat >>"$work/host" <<CONF
daemon off;
load_module $modules/nginx/objs/ngx_http_aloop_module.so;
worker_processes 1;
pid $work/host_pid;
error_log $work/host_error;
events { worker_connections 768; }
http {
    access_log off;
    keepalive_requests 10000000;
    client_body_temp_path $work/t11;
    proxy_temp_path $work/t12;
    fastcgi_temp_path $work/t13;
    uwsgi_temp_path $work/t14;
    scgi_temp_path $work/t15;
    upstream pages { server $pages; keepalive 100; }
    server {
        listen 127.0.0.1:$host_port;
        location = /empty { return 200 empty; }
        location = /sleep { aloop_sleep 20ms; }
        location = /fetch { aloop_fetch http://$pages/page; }
        location = /proxy {
            proxy_pass http://pages/page;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
CONF
    nginx -e "$work/host_error" -c "$work/host" &
    host=$!
    redis-server --port $redis_port --bind 127.0.0.1 --save '' \
        --appendonly no --dir "$work" --loadmodule "$modules/redis_module.so" \
        >"$work/redis" 2>&1 &
    redis=$!
    until curl -sf "http://127.0.0.1:$host_port/empty" >/dev/null &&
        redis-cli -p $redis_port ping >/dev/null 2>&1; do
        kill -0 "$host" "$redis"
        read -r -t 0.05 <> <(:) || :
    done
    worker=$(tr -d ' ' <"/proc/$host/task/$host/children")
}

# The microseconds of CPU that the one busy thread of a process has used.
cpu() { # PROCESS
    awk '{ printf "%.0f\n", $1 / 1000 }' "/proc/$1/schedstat"
}

# Adds a line to $work/NAME: requests, and the CPU time of the server.
of_nginx() { # PATH
    local before count
    before=$(cpu "$worker")
    count=$(wrk -t1 -c50 -d$seconds "http://127.0.0.1:$host_port/$1" |
        awk '/requests in/ { print $1 } /Non-2xx/ { exit 1 }')
    echo "$count $(($(cpu "$worker") - before))" >>"$work/$1"
}

of_redis() { # NAME COMMAND...
    local before
    before=$(cpu "$redis")
    redis-benchmark -p "$redis_port" -c 50 -n $commands -q "${@:2}" \
        >/dev/null
    echo "$commands $(($(cpu "$redis") - before))" >>"$work/$1"
}

rate() { # NAME: requests per CPU second.
    awk '{ rate = $1 / ($2 + 1) * 1e6 } rate > best { best = rate }
        END { printf "%.0f\n", best }' "$work/$1"
}

start_host
for _ in 1 2 3; do
    for path in empty sleep fetch proxy; do
        of_nginx "$path"
    done
    of_redis redis_ping ping
    of_redis redis_sleep aloop.sleep 20
    of_redis redis_fetch aloop.fetch "http://$pages/page"
done
title
unit="requests per CPU second"
row "$unit" "nginx, sleep 20ms" "nginx, empty location" "$(rate sleep)" \
    "$(rate empty)" ">= 0.2"
row "$unit" "nginx, aloop_fetch" "nginx, proxy_pass" "$(rate fetch)" \
    "$(rate proxy)" ">= 0.6"
row "$unit" "redis, ALOOP.SLEEP 20" "redis, PING" "$(rate redis_sleep)" \
    "$(rate redis_ping)" ">= 0.15"
row "$unit" "redis, ALOOP.FETCH" "redis, PING" "$(rate redis_fetch)" \
    "$(rate redis_ping)" ">= 0.15"
