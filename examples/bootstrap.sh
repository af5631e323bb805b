# Functions that tests/run and examples/run share: they find the tools, install
# the missing ones, and print one line for each step.  Sourced by bash.

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# Names of packages: the tool, then its packages for apt-get, dnf, apk, pacman,
# brew and FreeBSD's pkg.  Commas separate packages; - means that there is none.
package_table='
cc         gcc,libc6-dev gcc,glibc-devel gcc,musl-dev gcc - -
cxx        g++ gcc-c++ g++ gcc - -
clang     clang,libclang-rt-dev clang,compiler-rt clang,compiler-rt clang llvm -
sanitizers gcc,libc6-dev libasan,libubsan,libtsan gcc gcc - -
cmake      cmake cmake cmake cmake cmake cmake
ninja      ninja-build ninja-build ninja ninja ninja ninja
pkg-config pkg-config pkgconf-pkg-config pkgconf pkgconf pkgconf pkgconf
cmocka     libcmocka-dev libcmocka-devel cmocka-dev cmocka cmocka cmocka
valgrind   valgrind valgrind,valgrind-devel valgrind,valgrind-dev valgrind - -
libuv      libuv1-dev libuv-devel libuv-dev libuv libuv libuv
libssl     libssl-dev openssl-devel openssl-dev openssl openssl@3 openssl
openssl    openssl openssl openssl openssl openssl@3 openssl
jansson    libjansson-dev jansson-devel jansson-dev jansson jansson jansson
libpq      libpq-dev libpq-devel libpq-dev postgresql-libs libpq -
postgres   postgresql postgresql-server postgresql postgresql - -
libcurl    libcurl4-openssl-dev libcurl-devel curl-dev curl curl curl
hiredis    libhiredis-dev hiredis-devel hiredis-dev hiredis hiredis hiredis
redis      redis-server redis redis redis redis redis
libcares   libc-ares-dev c-ares-devel c-ares-dev c-ares c-ares c-ares
glib       libglib2.0-dev glib2-devel glib-dev glib2 glib glib
libevent   libevent-dev libevent-devel libevent-dev libevent libevent libevent
libnghttp2 libnghttp2-dev libnghttp2-devel nghttp2-dev libnghttp2 libnghttp2 -
nghttpd    nghttp2-server nghttp2 nghttp2 nghttp2 nghttp2 nghttp2
aiodns     python3-aiodns python3-aiodns py3-aiodns - - -
aiohttp    python3-aiohttp python3-aiohttp py3-aiohttp - - -
asyncpg    python3-asyncpg python3-asyncpg py3-asyncpg - - -
redis.asyncio python3-redis python3-redis py3-redis - - -
websockets python3-websockets python3-websockets py3-websockets - - -
chromium   chromium chromium chromium chromium - chromium
nginx-dev  nginx-dev - - - - -
aarch64    gcc-aarch64-linux-gnu,libc6-dev-arm64-cross - - - - -
riscv64    gcc-riscv64-linux-gnu,libc6-dev-riscv64-cross - - - - -
qemu-aarch64 qemu-user qemu-user qemu-aarch64 qemu-user - -
qemu-riscv64 qemu-user qemu-user qemu-riscv64 qemu-user - -
gdb        gdb gdb gdb gdb gdb gdb
musl       musl - musl musl - -
spin       spin - - - - spin
file       file file file file - -
npm        npm npm npm npm node npm
ncat       ncat nmap-ncat nmap-ncat nmap nmap nmap
socat      socat socat socat socat socat socat
iperf3     iperf3 iperf3 iperf3 iperf3 iperf3 iperf3
dnsmasq    dnsmasq-base dnsmasq dnsmasq dnsmasq dnsmasq dnsmasq
nginx      nginx-light nginx nginx nginx nginx nginx
curl       curl curl curl curl curl curl
wrk        wrk - wrk wrk wrk wrk
ab         apache2-utils httpd-tools apache2-utils apache httpd apache24
h2load     nghttp2-client nghttp2 nghttp2 nghttp2 nghttp2 nghttp2
clang-tidy clang-tidy clang-tools-extra clang-extra-tools clang llvm llvm
cppcheck   cppcheck cppcheck cppcheck cppcheck cppcheck cppcheck
clang-format-14 clang-format-14 - - - - -
'

# The column of the package manager in the table, and its commands.
manager=
manager_command=
manager_update=
find_manager() {
    if command -v apt-get >/dev/null; then
        manager=2
        manager_command='apt-get install -y --no-install-recommends'
        manager_update='apt-get update && '
    elif command -v dnf >/dev/null; then
        manager=3 manager_command='dnf install -y'
    elif command -v apk >/dev/null; then
        manager=4 manager_command='apk add'
    elif command -v pacman >/dev/null; then
        manager=5 manager_command='pacman -S --needed --noconfirm'
    elif command -v brew >/dev/null; then
        manager=6 manager_command='brew install'
    elif [ "$(uname -s)" = FreeBSD ]; then
        manager=7 manager_command='pkg install -y'
    fi
}

packages_of() { # WHAT...
    local what
    for what; do
        awk -v what="$what" -v column="$manager" '
            $1 == what && $column != "-" { gsub(/,/, " ", $column)
                                           print $column; known = 1 }
            END { if (!known) print what }' <<<"$package_table"
    done | tr ' ' '\n' | sort -u | tr '\n' ' '
}

# Succeeds if a program that includes HEADER compiles and links.
links() { # COMPILER "FLAGS" [HEADER]
    printf '#include <%s>\nint main(void) { return 0; }\n' "${3:-stdio.h}" |
        $1 -x c $2 -o /dev/null - >/dev/null 2>&1
}

has() { # TOOL
    case $1 in
    cc) links "$compiler" "" ;;
    cxx) command -v "${CXX:-c++}" >/dev/null ;;
    clang) command -v clang >/dev/null && links clang "$sanitize_flags" ;;
    sanitizers) links "$compiler" "$sanitize_flags" ;;
    ninja) command -v ninja >/dev/null || command -v make >/dev/null ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    cmocka) pkg-config --exists cmocka 2>/dev/null ;;
    libuv | libcurl | hiredis | libcares | libevent | libnghttp2)
        pkg-config --exists "$1" 2>/dev/null
        ;;
    glib) pkg-config --exists glib-2.0 gio-2.0 2>/dev/null ;;
    libssl) pkg-config --exists 'libssl >= 3.0' 2>/dev/null ;;
    libpq) pkg-config --exists 'libpq >= 12' 2>/dev/null ;;
    postgres) # Debian has one for each version, outside of PATH.
        ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ||
            command -v postgres >/dev/null
        ;;
    jansson) pkg-config --exists 'jansson >= 2.11' 2>/dev/null ;;
    redis) command -v redis-server >/dev/null ;;
    musl) ls /lib/ld-musl-*.so.1 >/dev/null 2>&1 ;;
    aiodns | aiohttp | asyncpg | redis.asyncio | websockets)
        /usr/bin/python3 -c "import $1" 2>/dev/null
        ;;
    nginx-dev) [ -e /usr/share/nginx/src/conf_flags ] ;;
    valgrind)
        command -v valgrind >/dev/null &&
            links "$compiler" "" valgrind/valgrind.h
        ;;
    dnsmasq | nginx)
        PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1" >/dev/null
        ;;
    aarch64 | riscv64) links "$1-linux-gnu-gcc" "" ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

missing_of() { # TOOL...
    local what
    for what; do
        has "$what" || printf '%s ' "$what"
    done
}

# Runs a command with its output in a file.  Prints the file if the command
# fails.
quietly() { # LOG COMMAND...
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        return 1
    fi
}

install_packages() { # AS-ROOT PACKAGE...
    local as_root=$1 log
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/aloop.XXXXXX")
    if [ "$manager" = 2 ]; then
        quietly "$log" $as_root apt-get update || say "(apt-get update failed)"
        as_root="$as_root env DEBIAN_FRONTEND=noninteractive"
        manager_command="$manager_command -o DPkg::Lock::Timeout=120"
    fi
    quietly "$log" $as_root $manager_command "$@" || {
        rm -f "$log"
        die "could not install $*"
    }
    rm -f "$log"
}

# Installs the tools that are missing, or ends the run if it cannot.
need() { # TOOL...
    local missing packages as_root=
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    find_manager
    [ -n "$manager" ] || die "not found: $missing(nor a known package" \
        "manager: apt-get, dnf, apk, pacman, brew, pkg)"
    packages=$(packages_of $missing)
    if [ "$manager" != 6 ] && [ "$(id -u)" != 0 ]; then
        as_root='sudo -n'
        sudo -n true 2>/dev/null ||
            die "not found: $missing"$'\n'"Please type, as root:" \
                "$manager_update$manager_command $packages"
    fi
    say "installing: $packages"
    install_packages "$as_root" $packages
    missing=$(missing_of "$@")
    [ -z "$missing" ] || die "installed $packages but still missing: $missing"
}

# Runs one step, and prints its name and how long it took.  The output of the
# command goes to a file, which is printed if the command fails.
has_shown= # Not empty after the first step.
step() { # NAME LOG COMMAND...
    local name=$1 log=$2 start=$SECONDS
    shift 2
    has_shown=1
    printf '%s ... ' "$name"
    if "$@" >"$log" 2>&1 </dev/null; then
        printf '%d s\n' $((SECONDS - start))
    else
        printf 'failed\n'
        grep -vE '^\[ *[0-9]+(/[0-9]+|%)\] (Building|Linking)' "$log" |
            tail -n 200 | cut -c 1-500
        return 1
    fi
}

generator() {
    command -v ninja >/dev/null && echo Ninja || echo 'Unix Makefiles'
}

configure_in() { # DIR CMAKE-OPTION...
    local dir=$1
    shift
    mkdir -p "$dir"
    step "configuring" "$dir/configure.log" cmake -S "$root" -B "$dir" \
        -G "$(generator)" "$@"
}

# Builds the targets in build_targets, or all targets if it is empty.
build_targets=()
compile_in() { # DIR
    local what=()
    [ ${#build_targets[@]} = 0 ] || what=(--target "${build_targets[@]}")
    if [ -t 1 ] && [ "$(generator)" = Ninja ]; then
        has_shown=1
        cmake --build "$1" ${what[@]+"${what[@]}"} # Ninja uses one line.
    else
        step "building" "$1/build.log" cmake --build "$1" \
            --parallel "$jobs" ${what[@]+"${what[@]}"}
    fi
}

# Configures and builds.
build_in() { # DIR CMAKE-OPTION...
    configure_in "$@" && compile_in "$1"
}

# Succeeds if a file in the build directory is older than its sources.
is_outdated() { # DIR
    cmake --build "$1" -- -n 2>&1 </dev/null |
        grep -qE 'Building|Linking|Re-running'
}

# Does the same as build_in, but prints nothing if everything is up to date.
refresh_in() { # DIR CMAKE-OPTION...
    local dir=$1 done=$1/configured
    if [ "$(cat "$done" 2>/dev/null)" != "${*:2}" ]; then
        configure_in "$@" || return 1
        printf '%s\n' "${*:2}" >"$done"
    fi
    if is_outdated "$dir"; then
        compile_in "$dir"
    else # The generator may still have work that the dry run does not show.
        quietly "$dir/build.log" cmake --build "$dir"
    fi
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
compiler=${CC:-}
sanitize_flags=
trap 'printf "\ninterrupted\n" >&2; exit 130' INT TERM
