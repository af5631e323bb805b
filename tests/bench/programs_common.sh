# Functions that the scripts of programs.sh share:
# nginx, and the rows of their table.  Sourced by bash.

PATH=$PATH:/usr/sbin:/usr/local/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX")
nginx= ours=
finish() {
    [ -z "$ours" ] || { kill "$ours" && wait "$ours"; } || :
    [ -z "$nginx" ] || { kill -QUIT "$nginx" && wait "$nginx"; } || :
    rm -rf "$work"
}
trap finish EXIT

# Ends the script, and with it its rows, if a program is not installed.
require() { # COMMAND...
    local tool
    for tool; do
        command -v "$tool" >/dev/null || {
            echo "not found: $tool" >&2
            exit 77
        }
    done
}

require_python() { # MODULE
    /usr/bin/python3 -c "import $1" 2>/dev/null || {
        echo "not found: $1 for /usr/bin/python3 (python3-$1)" >&2
        exit 77
    }
}

# Starts nginx with one worker and Debian's settings, but without an access log,
# and sets $nginx, its process, and $nginx_port.  It serves $work/www.
start_nginx() {
    local i
    nginx_port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$nginx_port") 2>/dev/null; do
        nginx_port=$((nginx_port + 1))
    done
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
    for ((i = 0; i < 100; i++)); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$nginx_port") 2>/dev/null || break
        read -r -t 0.05 <> <(:) || :
    done
}

# The table: the work, the program of the library, the other one, their figures,
# the ratio and what it has to be.
columns='%-24s  %-22s  %-24s  %9s  %9s  %-18s  %s\n'
title() {
    [ -n "${WITHOUT_TITLE:-}" ] ||
        printf "$columns" work here beside here beside ratio aim
}

row() { # WORK OWN OTHER OWN-FIGURE OTHER-FIGURE AIM [EXTREMES]
    local ratio missed=
    ratio=$(awk -v a="$4" -v b="$5" 'BEGIN { printf "%.2f", a / b }')
    awk -v ratio="$ratio" -v aim="$6" 'BEGIN {
        split(aim, part, " ")
        exit part[1] == ">=" ? ratio >= part[2] : ratio <= part[2] }' &&
        missed='  missed'
    printf "$columns" "$1" "$2" "$3" "$4" "$5" "$ratio${7:+ ($7)}" "$6$missed"
}
