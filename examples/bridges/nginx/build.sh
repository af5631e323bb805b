#!/usr/bin/env bash
# Builds the module of nginx.
#
#     usage: build.sh DIRECTORY LIBRARY...
#
# It is made in DIRECTORY/objs, beside a copy of nginx's sources.  The libraries
# are the linker's options for position independent code of the HTTP session and
# of libaloop.  CC is the compiler.
#
# nginx loads a module only if both have the same version and options.  Debian's
# package nginx-dev has those of the package nginx.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sources=/usr/share/nginx/src
directory=$1
shift
export ALOOP_ROOT=${here%/examples/*}
export ALOOP_LIBS="$* -pthread -Wl,--exclude-libs,ALL"
if [ ! -e "$directory/objs/Makefile" ] ||
    [ "$sources/conf_flags" -nt "$directory/objs/Makefile" ] ||
    [ "$here/config" -nt "$directory/objs/Makefile" ]; then
    mkdir -p "$directory"
    cp -r "$sources/." "$directory"
    cd "$directory"
    # shellcheck source=/dev/null
    . ./conf_flags
    ./configure "${NGX_CONF_FLAGS[@]}" --with-cc="${CC:-cc}" \
        --add-dynamic-module="$here" >configure.log
fi
cd "$directory"
make -s -f objs/Makefile modules
