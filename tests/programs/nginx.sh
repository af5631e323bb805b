#!/usr/bin/env bash
# Runs a command beside an nginx of its own, which speaks TLS.
#
#     usage: nginx.sh COMMAND...
#
# In the environment of the command, NGINX_HTTP2 and NGINX_HTTP1 are the
# beginnings of its URLs, such as https://127.0.0.1:20123, with and without
# HTTP/2; NGINX_PLAIN is that of http://.  NGINX_CA is the certificate that signs
# its own, for 127.0.0.1 and localhost.
#
#     /page     1,024 bytes
#     /large    3,000,000 bytes
#     /slow     the same in five minutes
#     /status   how many requests there were, among others
#
# The exit status is that of the command, or 77 if nginx or openssl is not
# installed.
set -u
PATH=$PATH:/usr/sbin:/usr/local/sbin
for tool in nginx openssl; do
    command -v $tool >/dev/null || {
        echo "skipped: $tool is not installed" >&2
        exit 77
    }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
nginx=
finish() {
    [ -z "$nginx" ] || { kill -QUIT "$nginx" 2>/dev/null && wait "$nginx"; }
    rm -rf "$work"
}
trap finish EXIT

make_files() {
    mkdir "$work/www" &&
        head -c 1024 /dev/zero | tr '\0' p >"$work/www/page" &&
        head -c 3000000 /dev/zero | tr '\0' l >"$work/www/large" &&
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -days 2 -subj /CN=test \
            -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
            -keyout "$work/key" -out "$work/ca" >"$work/log" 2>&1
}

is_free() { # PORT
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets $port to the first of three free ports.
find_ports() {
    port=$((20000 + RANDOM % 10000))
    until is_free $port && is_free $((port + 1)) && is_free $((port + 2)); do
        port=$((port + 3))
    done
}

configure() {
    local user=
    [ "$(id -u)" != 0 ] || user='user root;'
    cat >"$work/conf" <<CONF
daemon off;
$user
worker_processes 1;
pid $work/pid;
error_log $work/error;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    lingering_close off;
    ssl_certificate $work/ca;
    ssl_certificate_key $work/key;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:$port ssl http2;
        listen 127.0.0.1:$((port + 1)) ssl;
        listen 127.0.0.1:$((port + 2));
        root $work/www;
        location = /slow { alias $work/www/large; limit_rate 10k; }
        location = /status { stub_status; }
    }
}
CONF
}

# Another program may have taken a port meanwhile; then nginx ends.
start() {
    local i
    for ((i = 0; i < 5; i++)); do
        find_ports
        configure
        nginx -e "$work/error" -c "$work/conf" >>"$work/log" 2>&1 &
        nginx=$!
        while kill -0 "$nginx" 2>/dev/null; do
            is_free $((port + 2)) || return 0
            read -r -t 0.05 <> <(:) || :
        done
        nginx=
    done
    return 1
}

if ! make_files || ! start; then
    cat "$work/log" "$work/error" >&2
    exit 1
fi
export NGINX_HTTP2=https://127.0.0.1:$port
export NGINX_HTTP1=https://127.0.0.1:$((port + 1))
export NGINX_PLAIN=http://127.0.0.1:$((port + 2))
export NGINX_CA=$work/ca
"$@"
