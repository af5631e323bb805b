# The examples websocket_echo and websocket_client, tested with each other, with
# python3-websockets and with Chromium.  Sourced by check.sh, after
# examples_tls.sh.
# shellcheck shell=bash disable=SC2154

# Python programs that use websockets.  Others than Debian's Python need not see
# that module.
python=(timeout 60 /usr/bin/python3)

has_websockets() {
    /usr/bin/python3 -c 'import websockets' 2>/dev/null
}

# Messages of each kind and size, fragments, pings, and the ends of connections.
run_python_client() { # PORT PROCESS
    "${python[@]}" - "$@" <<'PYTHON'
import asyncio
import os
import signal
import sys

import websockets


async def messages(url):
    async with websockets.connect(url) as socket:
        assert socket.extensions == []
        for message in ["", "a", "x" * 125, "y" * 126, "z" * 65535, "ü" * 65536,
                        b"", bytes(range(256)) * 4000]:
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["a", "", "bc"])
        assert await socket.recv() == "abc"
        await (await socket.ping(b"ping"))
        for i in range(1000):
            await socket.send(str(i))
        for i in range(1000):
            assert await socket.recv() == str(i)
    assert socket.close_code == 1000


async def ended_with(code, url, act):
    async with websockets.connect(url) as socket:
        try:
            await act(socket)
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == code, closed
        else:
            raise AssertionError("the connection stays open")


async def send_frame(socket, opcode, data):
    await socket.write_frame(True, opcode, data)


async def main(port, process):
    url = f"ws://127.0.0.1:{port}/"
    await asyncio.gather(*(messages(url) for _ in range(5)))
    await ended_with(1009, url, lambda socket: socket.send("x" * 1048577))
    await ended_with(1007, url, lambda socket: send_frame(socket, 1, b"\xff"))
    await ended_with(1002, url, lambda socket: send_frame(socket, 0, b""))

    async def end_server(_):
        os.kill(process, signal.SIGTERM)

    await ended_with(1001, url, end_server)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
PYTHON
}

# The server, started by the program that is tested.
start_sockets() { # COMMAND...
    start_at_port 'listening on 127.0.0.1 port ' "$@" -p 0
}

check_websocket_options() { # COMMAND...
    local option
    "$@" --help | grep -q '^usage: websocket_echo' || fail "there is no help"
    for option in -x '-m 0' '-c 0' '-i 0' '-p 65536' argument; do
        # shellcheck disable=SC2086
        "$@" $option >"$work/out" 2>"$work/err"
        [ $? -eq 2 ] || fail "$option has another exit status than 2"
    done
    "$@" -p "$port" >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a port in use has another exit status than 1"
    grep -q 'cannot listen on 127.0.0.1 port .*: address already in use' \
        "$work/err" || fail "a port in use is not told"
}

check_example_websocket_echo() {
    local client status
    client=(timeout 60 "${@:1:$#-1}" "$(dirname "${*: -1}")/websocket_client")
    start_sockets "$@" -l
    check_websocket_options "$@"
    expect $'one\ntwo\n\nthree\n' "${client[@]}" "ws://localhost:$port/path" \
        < <(printf 'one\ntwo\n\nthree')
    head -c 300000 /dev/urandom | tr -d '\n' >"$work/large"
    "${client[@]}" -b "ws://127.0.0.1:$port/" <"$work/large" >"$work/out" ||
        fail "the client has the exit status $?"
    echo >>"$work/large"
    cmp -s "$work/large" "$work/out" || fail "a large message is not the same"
    printf '\377\n' | "${client[@]}" "ws://127.0.0.1:$port/" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] || fail "exit status $status after a close with 1007"
    grep -q '^websocket_client: the server has closed: 1007' "$work/err" ||
        fail "the code of a close is not told"
    if command -v curl >/dev/null; then
        status=$(curl -s -o "$work/out" -w '%{http_code}' \
            "http://127.0.0.1:$port/")
        [ "$status" = 426 ] || fail "$status instead of 426"
    fi
    if has_websockets; then
        run_python_client "$port" "$server" || fail "websockets is not content"
        wait "$server"
        status=$?
        server=
        [ $status -eq 0 ] || fail "exit status $status after SIGTERM"
    else
        end_with TERM 0
    fi
    grep -qE '^127.0.0.1:[0-9]+ "/path" 101 [0-9.]+ s$' "$work/server" ||
        fail "a connection is not logged"
    skip_without_websockets
}

skip_without_websockets() {
    has_websockets && return
    echo "skipped: python3-websockets is not installed; the rest passed" >&2
    exit 77
}

# A server of websockets that sends messages back, and ends with 4000 after
# "end".
start_python_server() {
    cat >"$work/server.py" <<'PYTHON'
import asyncio
import signal

import websockets


async def echo(socket):
    async for message in socket:
        if message == "end":
            await socket.close(4000, "as\nyou\x1b[2Jlike")
        else:
            await socket.send(message)


async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, stop.set_result, None)
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await stop


asyncio.run(main())
PYTHON
    start_at_port 'port ' /usr/bin/python3 "$work/server.py"
}

# Waits for the echo of a line, and then ends the input or the client.  (The
# server of websockets sends nothing after it has received a close.)
python_echoes() { # COMMAND...
    local way client status
    mkfifo "$work/fifo" || fail "mkfifo"
    for way in 0 130; do
        : >"$work/out"
        "$@" "ws://127.0.0.1:$port/" <"$work/fifo" >"$work/out" \
            2>"$work/err" &
        client=$!
        exec 4>"$work/fifo"
        printf 'one\ntwo\n' >&4
        wait_for_line '^two$' "$work/out" "$client"
        # Shells have programs in the background ignore SIGINT.
        [ $way = 0 ] || kill -TERM "$client"
        [ $way = 130 ] || exec 4>&-
        wait "$client"
        status=$?
        exec 4>&-
        [ $status -eq $way ] || fail "exit status $status instead of $way"
        [ "$(cat "$work/out")" = $'one\ntwo' ] || fail "printed other lines"
    done
}

check_example_websocket_client() {
    local status
    "$@" --help | grep -q '^usage: websocket_client' || fail "there is no help"
    "$@" >"$work/out" 2>"$work/err"
    [ $? -eq 2 ] || fail "without a URL another exit status than 2"
    "$@" wss://127.0.0.1/ >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "wss has another exit status than 1"
    grep -q ': not a ws:// URL$' "$work/err" || fail "wss is not told"
    free_port
    "$@" "ws://127.0.0.1:$port/" </dev/null >"$work/out" 2>"$work/err"
    [ $? -eq 1 ] || fail "a refused connection has another exit status than 1"
    grep -q ': connection refused$' "$work/err" || fail "no refusal is told"
    skip_without_websockets
    start_python_server
    python_echoes "$@"
    # The input stays open.
    exec 4<>"$work/fifo"
    printf 'one\nend\n' >&4
    "$@" "ws://127.0.0.1:$port/" <&4 >"$work/out" 2>"$work/err"
    status=$?
    exec 4>&-
    [ $status -eq 1 ] || fail "exit status $status after a close with 4000"
    grep -q 'the server has closed: 4000 as you \[2Jlike$' "$work/err" ||
        fail "the reason of a close is not told"
    end_with TERM 0
}

# The page of the browser writes its verdict into a request.  The access log of
# http_server, which has the page, shows it.
start_page() { # RUNNER...
    mkdir -p "$work/site"
    cp "$here/websocket.html" "$work/site/page.html"
    : >"$work/pages"
    "$@" -p 0 -l "$work/site" >"$work/pages" 2>&1 &
    pages=$!
    until pages_port=$(sed -n 's/^listening on .* port //p' "$work/pages") &&
        [ -n "$pages_port" ]; do
        kill -0 "$pages" || fail "http_server ended early"
        read -r -t 0.05 <> <(:)
    done
}

# Opens the page, and prints its verdict.
browse() { # QUERY
    local i verdict='' browser patience=${ALOOP_TEST_PATIENCE:-1}
    : >"$work/pages"
    chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --no-first-run --disable-background-networking \
        --user-data-dir="$work/browser" --remote-debugging-port=0 \
        "http://127.0.0.1:$pages_port/page.html?$1" \
        >"$work/browser.log" 2>&1 &
    browser=$!
    for ((i = 0; i < 1000 * patience; i++)); do
        verdict=$(sed -n 's/.*"GET \/verdict?\([^ "]*\)".*/\1/p' "$work/pages")
        [ -z "$verdict" ] || break
        kill -0 "$browser" 2>/dev/null || break
        read -r -t 0.05 <> <(:)
    done
    kill "$browser" 2>/dev/null
    wait "$browser" 2>/dev/null
    # Its other processes write files until they notice its end.
    for ((i = 0; i < 200; i++)); do
        rm -rf "$work/browser" 2>/dev/null && break
        read -r -t 0.05 <> <(:)
    done
    echo "${verdict:-none: $(tail -n 3 "$work/browser.log")}"
}

check_example_websocket_browser() {
    local verdict pages pages_port
    if ! command -v chromium >/dev/null; then
        echo "skipped: chromium is not installed" >&2
        exit 77
    fi
    start_page "${@:1:$#-1}" "$(dirname "${*: -1}")/http_server"
    start_sockets "$@" -o "http://127.0.0.1:$pages_port"
    verdict=$(browse "$port")
    [ "$verdict" = passed ] || fail "the page's verdict: $verdict"
    end_with TERM 0
    start_sockets "$@" -o http://127.0.0.1
    verdict=$(browse "$port")
    kill "$pages"
    wait "$pages"
    [ "$verdict" = refused ] || fail "a page of another origin: $verdict"
    end_with TERM 0
}
