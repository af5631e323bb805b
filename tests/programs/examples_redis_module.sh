# The checks of the module redis_module, in a redis-server with pages of nginx.
# Sourced by check.sh, after examples_http.sh.
# shellcheck shell=bash disable=SC2154,SC2016

# Starts redis-server without the module, and sets $redis, its process, and
# $redis_port.  The checker that runs the tests, if any, runs the server.
start_loading_redis() { # [RUNNER...] MODULE
    free_port
    redis_port=$port
    module=${*: -1}
    "${@:1:$#-1}" redis-server --port "$redis_port" --bind 127.0.0.1 \
        --save '' --appendonly no --dir "$work" --enable-module-command yes \
        >"$work/redis" 2>&1 &
    redis=$!
    until_open "$redis_port"
}

finish_loading_redis() {
    [ -z "$redis" ] || { kill -KILL "$redis" && wait "$redis"; } 2>/dev/null
    finish
}

ask_redis() { # WORD...
    limited redis-cli -p "$redis_port" "$@"
}

replies() { # REPLY WORD...
    local reply
    reply=$(ask_redis "${@:2}")
    [ "$reply" = "$1" ] || fail "replies to ${*:2}: $reply"
}

# Connects COUNT clients, each of which sends the same line, and sets $clients
# to their descriptors.
send_redis() { # COUNT LINE
    local i client
    clients=()
    for ((i = 0; i < $1; i++)); do
        exec {client}<>"/dev/tcp/127.0.0.1/$redis_port" || fail "refused"
        clients+=("$client")
        printf '%s\r\n' "$2" >&"$client"
    done
}

# Each client of $clients receives what is in the file.
each_receives() { # FILE
    local client size
    size=$(wc -c <"$1")
    for client in "${clients[@]}"; do
        limited head -c "$size" <&"$client" | cmp -s - "$1" ||
            fail "a client has another reply than $(head -c 40 "$1")"
    done
}

disconnect_clients() {
    local client
    for client in "${clients[@]}"; do
        exec {client}>&-
    done
}

# Waits until so many requests have ended in nginx.
until_requests() { # COUNT
    until [ "$(wc -l <"$work/access")" -ge "$1" ]; do
        pause
    done
    [ "$(wc -l <"$work/access")" -eq "$1" ] || fail "nginx had other requests"
}

until_blocked() { # COUNT
    until ask_redis info clients | grep -q "^blocked_clients:$1.$"; do
        pause
    done
}

count_fds() {
    # shellcheck disable=SC2012
    ls "/proc/$redis/fd" | wc -l
}

check_example_redis_module() {
    local redis_port module clients fds i
    need_tool redis-server
    need_tool redis-cli
    redis=
    trap finish_loading_redis EXIT
    start_nginx
    start_loading_redis "$@"
    fds=$(count_fds)
    replies OK module load "$module"
    check_redis_replies
    check_redis_clients
    check_redis_fork
    check_redis_disconnect
    for i in 1 2 3; do
        replies OK module load "$module"
        replies OK aloop.sleep 1
        replies $'200\n'"$(cat "$work/www/page")" aloop.fetch "$url/page"
        replies OK module unload aloop
        # The server closes the connection of redis-cli a little later.
        while [ "$(count_fds)" -gt "$fds" ]; do
            pause # Fails if descriptors are left.
        done
    done
    check_redis_end
}

check_redis_replies() {
    local cannot='ERR the client cannot wait here'
    local invalid='ERR invalid URL or milliseconds'
    took_ms replies OK aloop.sleep 100
    [ "$took" -ge 100 ] || fail "slept only $took ms"
    replies OK aloop.sleep 0
    replies $'200\n'"$(cat "$work/www/page")" aloop.fetch "$url/page"
    replies $'200\nonce' aloop.fetch "$url/once" 10000
    [ "$(ask_redis aloop.fetch "$url/no" | head -n 1)" = 404 ] ||
        fail "a missing page has another status"
    replies 'ERR reading the body: timed out' aloop.fetch "$url/crawl" 1000
    replies 'ERR connecting: connection refused' aloop.fetch http://127.0.0.1:1
    replies 'ERR checking the request: not a valid http:// URL' aloop.fetch x
    replies "$invalid" aloop.fetch "$url/page" -1
    replies "$invalid" aloop.sleep 86400001
    replies "$invalid" aloop.sleep x
    printf '%s\0x' "$url" >"$work/url"
    [ "$(ask_redis -x aloop.fetch <"$work/url")" = "$invalid" ] ||
        fail "a zero byte ends a URL"
    replies "ERR wrong number of arguments for 'aloop.sleep' command" \
        aloop.sleep
    replies "ERR wrong number of arguments for 'aloop.fetch' command" \
        aloop.fetch "$url" 1 2
    [ "$(printf 'multi\naloop.sleep 1\nexec\n' | ask_redis)" = \
        "OK"$'\n'"QUEUED"$'\n'"$cannot" ] || fail "waits in a transaction"
    ask_redis eval "return redis.call('aloop.sleep', 1)" 0 |
        grep -q "^$cannot " || fail "waits in a script"
    ask_redis module load "$module" | grep -q '^ERR Error loading' ||
        fail "the module was loaded twice"
    replies OK aloop.sleep 1
}

# The 50 clients wait at the same time, and the server answers others.
check_redis_clients() {
    local i lines=
    printf '+OK\r\n' >"$work/ok"
    took_ms check_redis_sleeps
    [ "$took" -ge 1000 ] || fail "50 sleeps take $took ms"
    [ "$took" -lt 50000 ] || fail "the clients sleep one after another"
    i=$(wc -l <"$work/access")
    for _ in 1 2 3 4 5 6 7 8 9; do
        lines+="aloop.fetch $url/page"$'\r\n'
    done
    send_redis 50 "${lines}aloop.fetch $url/page"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        printf '*2\r\n:200\r\n$1024\r\n'
        cat "$work/www/page"
        printf '\r\n'
    done >"$work/pages"
    each_receives "$work/pages"
    disconnect_clients
    until_requests $((i + 500))
}

check_redis_sleeps() {
    send_redis 50 'aloop.sleep 1000'
    replies PONG ping
    each_receives "$work/ok"
    disconnect_clients
}

# A child of the server has copies of all descriptors while the connections of
# fetches are made, are closed, and are kept.
check_redis_fork() {
    local i
    replies OK config set rdb-key-save-delay 100000
    for ((i = 0; i < 10; i++)); do
        replies OK set "key$i" "$i"
    done
    printf '*2\r\n:200\r\n$4\r\nonce\r\n' >"$work/once"
    i=$(wc -l <"$work/access")
    send_redis 50 'aloop.sleep 300'
    replies 'Background saving started' bgsave
    each_receives "$work/ok"
    disconnect_clients
    send_redis 50 "aloop.fetch $url/once"
    each_receives "$work/once"
    disconnect_clients
    until_requests $((i + 50))
    replies $'200\n'"$(cat "$work/www/page")" aloop.fetch "$url/page"
    until ask_redis info persistence |
        grep -q '^rdb_bgsave_in_progress:0'; do
        pause
    done
    ask_redis info persistence | grep -q '^rdb_last_bgsave_status:ok' ||
        fail "BGSAVE has failed"
    replies $'200\n'"$(cat "$work/www/page")" aloop.fetch "$url/page"
}

# The end of a client cancels its fetch or sleep, and nothing else.  Then the
# module can be unloaded.
check_redis_disconnect() {
    local requests other
    requests=$(wc -l <"$work/access")
    send_redis 1 'aloop.sleep 1000'
    other=${clients[0]}
    send_redis 5 'aloop.sleep 86400000'
    disconnect_clients
    send_redis 5 "aloop.fetch $url/crawl 86400000"
    until_blocked 6
    ask_redis module unload aloop | grep -q 'has blocked clients' ||
        fail "the module was unloaded while clients wait"
    disconnect_clients
    until_requests $((requests + 5))
    clients=("$other")
    each_receives "$work/ok"
    disconnect_clients
    send_redis 1 "aloop.fetch $url/crawl 86400000"
    until_blocked 1
    replies 1 client kill skipme yes
    until_requests $((requests + 6))
    until_blocked 0
    replies OK module unload aloop
    replies "ERR unknown command 'aloop.sleep', with args beginning with: '1' " \
        aloop.sleep 1
}

# The end of the other server is an error.  The end of this one waits for
# nothing.
check_redis_end() {
    local status
    replies OK module load "$module"
    send_redis 1 "aloop.fetch $url/crawl 86400000"
    until_blocked 1
    kill -TERM "$server"
    wait "$server"
    server=
    printf '%s\r\n' '-ERR reading the body: the connection ended before the page'\
' did' >"$work/cut"
    each_receives "$work/cut"
    disconnect_clients
    send_redis 20 'aloop.sleep 86400000'
    until_blocked 20
    ask_redis shutdown nosave
    wait "$redis"
    status=$?
    redis=
    [ $status -eq 0 ] || fail "exit status $status: $(cat "$work/redis")"
    disconnect_clients
}

# A server in whose module each allocation fails once; see
# tests/bridges/refuse_in_module.c.
check_example_redis_module_memory() {
    local redis_port module without_effect
    # A fetch is cancelled if aloop_timeout() has no memory for its limit.
    local unmade='\(out of memory\|cancelled\)$'
    need_tool redis-server
    need_tool redis-cli
    redis=
    trap finish_loading_redis EXIT
    start_nginx
    refuse_in redis_module 6 "$@"
    start_loading_redis "$@"
    refuse_each 'ERR Error loading' ask_redis module load "$module"
    refuse_each 'out of memory$' ask_redis aloop.sleep 1
    refuse_each "$unmade" ask_redis aloop.fetch "$url/page"
    refuse_each "$unmade" ask_redis aloop.fetch "$url/once"
    refuse_each "$unmade" ask_redis aloop.fetch http://127.0.0.1:1/
    replies $'200\n'"$(cat "$work/www/page")" aloop.fetch "$url/page"
    replies OK module unload aloop
    ask_redis shutdown nosave
    wait "$redis" || fail "exit status $?: $(cat "$work/redis")"
    redis=
}

# Sets $without_effect, the number of allocations of a command that may fail
# without one.  They are:
#
# - one for the stacks of tasks that have ended, which a debug loop keeps (1);
# - under ASan, where each object is an allocation, the copy of an address for
#   messages, which are written without it (1), and those that succeed when they
#   are tried again, because a debug loop then frees the objects that it has
#   kept: a task, its limit, a connect, a stream and a read (5).
#
# The first one is made once in a loop, before any object is kept, so that no
# command has more than 6 of these.
refuse_in() { # MODULE COUNT-UNDER-ASAN [RUNNER...]
    export REFUSE_MODULE=$1 REFUSE_COUNT=$work/count
    printf '\0\0\0\0' >"$work/count"
    without_effect=1
    [[ "$*" != *verify_asan* ]] || without_effect=$2
}

# Runs a command again and again: in the nth run the nth allocation fails, and
# the output has the words.  The last run has fewer allocations.
refuse_each() { # WORDS COMMAND...
    local n left same=0
    rm -f "$work/same"
    for ((n = 1; n < 100; n++)); do
        # shellcheck disable=SC2059
        printf "\\x$(printf %02x $n)" |
            dd of="$work/count" conv=notrunc status=none
        "${@:2}" >"$work/out" 2>&1
        left=$(od -An -tu4 "$work/count" | tr -d ' ')
        printf '\0' | dd of="$work/count" conv=notrunc status=none
        [ "$left" -eq 0 ] || break
        grep -q "$1" "$work/out" && continue
        [ $((same += 1)) -le "$without_effect" ] ||
            fail "allocation $n of ${*:2}"
        [ ! -e "$work/same" ] || cmp -s "$work/same" "$work/out" ||
            fail "another output without memory: ${*:2}"
        cp "$work/out" "$work/same"
    done
    [ "$left" -gt 0 ] || fail "allocations without an end: ${*:2}"
    [ $n -gt 1 ] || fail "no allocation fails: ${*:2}"
    ! grep -q "$1" "$work/out" || fail "a failure without a cause: ${*:2}"
    [ ! -e "$work/same" ] || cmp -s "$work/same" "$work/out" ||
        fail "another output without memory: ${*:2}"
}
