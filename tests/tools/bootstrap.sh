# Functions that tests/run and examples/run share.  Sourced by bash.
. "$(dirname "${BASH_SOURCE[0]}")/../../examples/bootstrap.sh"

# What examples/bridges use, and what their tests run beside them.
bridge_libraries=(libssl jansson libpq libcurl hiredis libcares glib libuv
    libevent libnghttp2)
bridge_servers=(openssl nginx postgres redis dnsmasq nghttpd websockets
    chromium nginx-dev curl h2load)

# What the benchmark of programs compares them with.
python_peers=(aiodns aiohttp asyncpg redis.asyncio websockets)
