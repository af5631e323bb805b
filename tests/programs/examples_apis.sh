# The example two_apis, tested with servers of OpenSSL.  Sourced by check.sh,
# after examples_net.sh and examples_tls.sh.
# shellcheck shell=bash disable=SC2154

# Makes a page that a server sends as it is, with the body of standard input.
make_page() { # NAME [STATUS]
    {
        printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\n\r\n' \
            "${2:-200 OK}"
        cat
    } >"$work/www/$1"
}

make_pages() {
    mkdir "$work/www"
    make_page one <<<'{"user": {"name": "Ann", "a.b": [10, {"id": 7}]}}'
    make_page two <<<'{"user": {"name": "Z\u017e \u0007"}, "size": 1.5}'
    make_page none </dev/null
    make_page bad <<<$'{"user":\n \033[2J}'
    make_page cut <<<'{"user": {"name": "Ann"'
    make_page missing '404 Not Found' <<<'{"error": "none"}'
    head -c 100000 /dev/zero | tr '\0' '[' | make_page deep
    { # More than what is parsed without a thread.
        printf '{"text": "'
        head -c 100000 /dev/zero | tr '\0' t
        printf '", "user": {"name": "Long"}}'
    } | make_page long
    head -c 2000000 /dev/zero | tr '\0' ' ' | make_page large
}

# Starts a server with TLS, and sets $port.  Its output is in $work/NAME.
start_s_server() { # NAME OPTION...
    local log=$work/$1 process
    shift
    : >"$log"
    (cd "$work/www" && exec timeout 120 openssl s_server -accept 127.0.0.1:0 \
        -cert "$work/cert" -key "$work/key" "$@") <"$work/in" >"$log" 2>&1 &
    process=$!
    helpers+=("$process")
    until grep -q '^ACCEPT .*:' "$log"; do
        kill -0 "$process" 2>/dev/null || fail "s_server: $(cat "$log")"
        pause
    done
    port=$(sed -n 's/^ACCEPT .*://p' "$log")
}

# Runs the program; compares its exit status, what it prints, and its errors.
asks() { # STATUS OUTPUT ERRORS COMMAND...
    local wanted=$1 output=$2 errors=$3 status
    shift 3
    SSL_CERT_FILE=$work/cert limited "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "exit status $status: ${*: -2}"
    printf '%s' "$output" | cmp -s - "$work/out" ||
        fail "another output than $(printf '%q' "$output")"
    printf '%s' "$errors" | cmp -s - "$work/err" ||
        fail "other errors than $(printf '%q' "$errors")"
}

check_example_two_apis() {
    local one two slow good
    need_tool openssl
    trap 'end_helpers; finish' EXIT
    make_certificate
    make_pages
    mkfifo "$work/in"
    exec 4<>"$work/in" # The servers' input does not end.
    start_s_server first -HTTP
    one=https://localhost:$port
    start_s_server second -HTTP
    two=https://localhost:$port
    start_s_server third # It never answers, and prints what it receives.
    slow=https://localhost:$port
    good="$one/one: user.name: \"Ann\""$'\n'
    check_example_two_apis_good "$@"
    check_example_two_apis_json "$@"
    check_example_two_apis_http "$@"
    check_example_two_apis_end "$@"
}

check_example_two_apis_good() {
    local who=$'Z\xc5\xbe'
    asks 0 "$good$two/two: user.name: \"$who \\u0007\""$'\n' '' \
        "$@" -f user.name "$one/one" "$two/two"
    asks 0 "$one/one: user.a\\.b.1: {\"id\":7}
$one/one: user.a\\.b.0: 10
$two/two: size: 1.5
" '' "$@" -f '1:user.a\.b.1' -f 2:size -f '1:user.a\.b.0' "$one/one" \
        "$two/two"
    asks 0 "$good$two/two: {\"user\":{\"name\":\"$who \\u0007\"},\"size\":1.5}
" '' "$@" -f 1:user.name "$one/one" "$two/two"
    asks 0 "$good$two/long: user.name: \"Long\""$'\n' '' \
        "$@" -f user.name "$one/one" "$two/long"
}

# The other document is printed nevertheless.
check_example_two_apis_json() {
    asks 1 "$good" "two_apis: $two/two: there is no field size.0
two_apis: $two/two: there is no field user.first
" "$@" -f 1:user.name -f 2:size.0 -f 2:user.first "$one/one" "$two/two"
    asks 1 "$good" "two_apis: $two/bad: parsing: line 2, column 2: \
invalid token near '?'
" "$@" -f user.name "$one/one" "$two/bad"
    asks 1 "$good" "two_apis: $two/cut: parsing: line 2, column 0: \
'}' expected near end of file
" "$@" -f user.name "$two/cut" "$one/one"
    asks 1 "$good" "two_apis: $two/deep: parsing: it has too many \
levels
" "$@" -f user.name "$one/one" "$two/deep"
    asks 1 "$good" "two_apis: $two/none: parsing: line 1, column 0: \
unexpected token near end of file
" "$@" -f user.name "$one/one" "$two/none"
}

check_example_two_apis_http() {
    asks 1 "$good" "two_apis: $two/missing: status 404"$'\n' \
        "$@" -f user.name "$one/one" "$two/missing"
    asks 1 "$good" "two_apis: $two/large: reading the body: the page is \
larger than the limit
" "$@" -m 1 -f user.name "$one/one" "$two/large"
    asks 1 "$good" "two_apis: https://localhost:1/: connecting: connection \
refused
" "$@" -f user.name https://localhost:1/ "$one/one"
    asks 1 '' "two_apis: ftp://localhost/: checking the request: not a valid \
http:// URL
two_apis: x: checking the request: not a valid http:// URL
" "$@" ftp://localhost/ x
    asks 1 "$good" "two_apis: $slow/: reading the header: timed out"$'\n' \
        "$@" -t $((2 * ${ALOOP_TEST_PATIENCE:-1})) -f user.name "$one/one" \
        "$slow/"
    limited "$@" "$one/one" "$two/two" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "an unknown certificate was accepted"
    [ ! -s "$work/out" ] || fail "prints what an unknown server sends"
    [ "$(grep -c ': starting TLS: self-signed certificate$' "$work/err")" \
        -eq 2 ] || fail "the reason of the errors is not told"
}

# An interrupt while one of the answers is awaited, and wrong usage.
check_example_two_apis_end() {
    local status
    SSL_CERT_FILE=$work/cert "$@" -t 100 "$one/one" "$slow/interrupted" \
        >"$work/out" 2>"$work/err" &
    server=$!
    until_file_has "$work/third" 'GET /interrupted HTTP/1.1'
    end_with TERM 130
    [ -z "$(cat "$work/out" "$work/err")" ] ||
        fail "prints something after SIGTERM"
    if [ -c /dev/full ]; then
        SSL_CERT_FILE=$work/cert limited "$@" "$one/one" "$two/two" \
            >/dev/full 2>"$work/err"
        [ $? -eq 1 ] || fail "a full disk has another exit status"
        grep -q '^two_apis: cannot write' "$work/err" ||
            fail "a full disk is not told"
    fi
    for status in "$one/one" "-f a" "-t 0 a b" "-m 65 a b" "-x a b" "a b c"; do
        # shellcheck disable=SC2086
        "$@" $status >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "wrong usage has another exit status: $status"
    done
    "$@" --help | grep -q '^usage: two_apis' || fail "--help prints no usage"
}
