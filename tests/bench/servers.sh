#!/usr/bin/env bash
# Compares the example http_server with nginx: requests per second of the
# server's CPU time, for files of 1 KiB and 64 KiB, under wrk with 100
# connections.  Both have one process for the requests and no access log, and
# are measured in turn, in one run.  The line of each file has the median.
#
#     usage: tests/bench/servers.sh [HTTP_SERVER [SECONDS [ROUNDS]]]
#
# HTTP_SERVER is that of examples/run by default, and each of 5 rounds takes 2
# seconds for each server and file.  It needs Linux, nginx and wrk.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
example=${1:-$root/build/examples/examples/http_server}
seconds=${2:-2}
rounds=${3:-5}
PATH=$PATH:/usr/sbin:/usr/local/sbin
for tool in nginx wrk "$example"; do
    command -v "$tool" >/dev/null || { echo "not found: $tool" >&2; exit 1; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX")
nginx= ours=
finish() {
    [ -z "$ours" ] || { kill "$ours" && wait "$ours"; } || :
    [ -z "$nginx" ] || { kill -QUIT "$nginx" && wait "$nginx"; } || :
    rm -rf "$work"
}
trap finish EXIT

mkdir "$work/www"
head -c 1024 /dev/urandom >"$work/www/1k.bin"
head -c 65536 /dev/urandom >"$work/www/64k.bin"
nginx_port=$((20000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$nginx_port") 2>/dev/null; do
    nginx_port=$((nginx_port + 1))
done
# Debian's settings.
[ "$(id -u)" != 0 ] || echo 'user root;' >"$work/conf"
cat >>"$work/conf" <<CONF
daemon off;
worker_processes 1;
pid $work/pid;
error_log $work/error;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    gzip on;
    access_log off;
    default_type application/octet-stream;
    keepalive_requests 10000000;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$nginx_port;
        root $work/www;
    }
}
CONF
nginx -e "$work/error" -c "$work/conf" &
nginx=$!
"$example" -p 0 "$work/www" >"$work/out" &
ours=$!
worker= port=
for ((i = 0; i < 100; i++)); do
    worker=$(cat "/proc/$nginx/task/$nginx/children" 2>/dev/null || :)
    worker=${worker%% *}
    port=$(sed -n 's/^listening on .* port \([0-9]*\)$/\1/p' "$work/out")
    [ -z "$worker" ] || [ -z "$port" ] || break
    read -r -t 0.05 <> <(:) || :
done

ticks() { # PROCESS: user and system time, in ticks.
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

# Prints the requests per CPU second of a process that serves a port.
rate() { # PROCESS PORT FILE
    local before after requests
    before=$(ticks "$1")
    timeout $((seconds + 30)) wrk -t1 -c100 "-d${seconds}s" \
        "http://127.0.0.1:$2/$3" >"$work/wrk"
    after=$(ticks "$1")
    if grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2; then
        exit 1
    fi
    requests=$(awk '/requests in/ { print $1 }' "$work/wrk")
    awk -v n="$requests" -v ticks=$((after - before)) \
        -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.0f\n", n * hz / ticks }'
}

printf '%-8s  %12s  %12s  %s\n' file nginx http_server ratio
for file in 1k.bin 64k.bin; do
    for ((i = 0; i < rounds; i++)); do
        theirs=$(rate "$worker" "$nginx_port" "$file")
        own=$(rate "$ours" "$port" "$file")
        awk -v a="$own" -v b="$theirs" 'BEGIN { print a / b, b, a }'
    done | sort -n >"$work/rates"
    awk -v file="$file" -v middle=$(((rounds + 1) / 2)) '
        NR == 1 { least = $1 }
        NR == middle { nginx = $2; ours = $3; ratio = $1 }
        END { printf "%-8s  %12d  %12d  %.2f (%.2f to %.2f)\n", file, nginx,
              ours, ratio, least, $1 }' "$work/rates"
done
