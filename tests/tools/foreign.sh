# Functions for tests/run --arch: the tools for another processor, an emulator,
# and cmocka built for that processor.  Sourced by bash, after bootstrap.sh.

# The processor, Debian's name for it, and the suite that has its packages; -
# means the suite of this machine.  Debian has riscv64 since version 13.
foreign_table='
aarch64 arm64   -
riscv64 riscv64 trixie
'

foreign_field() { # ARCH COLUMN
    awk -v arch="$1" -v column="$2" '$1 == arch { print $column }' \
        <<<"$foreign_table"
}

foreign_archs() {
    awk 'NF { print $1 }' <<<"$foreign_table"
}

# Prints a line for apt's sources.list that names a suite, on the mirror that
# this machine uses.
foreign_source() { # SUITE DEBIAN-ARCH
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1)
    printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$2" \
        /usr/share/keyrings/debian-archive-keyring.gpg \
        "$mirror" "$1"
}

# Unpacks Debian's cmocka for the other processor in TO, which is below the
# build directory.  The installed packages and the system's sources.list do not
# change.
fetch_foreign_cmocka() { # ARCH TO
    local to=$2 apt=$2/apt debian suite package
    [ ! -e "$to/usr/include/cmocka.h" ] || return 0
    command -v apt-get >/dev/null ||
        die "--arch needs apt-get, to download cmocka for $1"
    debian=$(foreign_field "$1" 2)
    suite=$(foreign_field "$1" 3)
    local packages=("libcmocka-dev:$debian" "libcmocka0:$debian")
    say "downloading: ${packages[*]}, below build/ only"
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || exit 1
    local get=(apt-get -q -o APT::Sandbox::User=root
        -o "APT::Architectures::=$(dpkg --print-architecture)"
        -o "APT::Architectures::=$debian"
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache")
    if [ "$suite" != - ]; then
        foreign_source "$suite" "$debian" >"$apt/sources.list"
        get+=(-o "Dir::Etc::sourcelist=$apt/sources.list"
            -o Dir::Etc::sourceparts=-)
    fi
    quietly "$apt/log" "${get[@]}" update || exit 1
    (cd "$apt" && quietly "$apt/log" "${get[@]}" download "${packages[@]}") ||
        exit 1
    for package in "$apt"/*.deb; do
        dpkg -x "$package" "$to" || exit 1
    done
    rm -rf "$apt"
}

# Sets the runner of the programs, and adds to the needed tools and to CMake's
# options.  DIR is the build directory.
use_foreign() { # ARCH DIR
    local triplet=$1-linux-gnu
    needed+=("$1" "qemu-$1")
    export PKG_CONFIG_SYSROOT_DIR=$2/cmocka
    export PKG_CONFIG_LIBDIR=$2/cmocka/usr/lib/$triplet/pkgconfig
    options+=(-DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_SYSTEM_PROCESSOR=$1"
        "-DCMAKE_C_COMPILER=$triplet-gcc")
    runner="qemu-$1;-L;/usr/$triplet"
}
