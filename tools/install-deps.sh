#!/bin/sh
# Installs the Debian packages that are missing: `install-deps.sh run` for building and serving,
# `install-deps.sh test` for the tests as well, `install-deps.sh bench` for the benchmark as well.
set -eu
packages="gcc make pkg-config liblua5.4-dev lua-cjson-dev libmicrohttpd-dev libuv1-dev uthash-dev
libjansson-dev libcurl4-openssl-dev libssl-dev libxxhash-dev libnghttp2-dev libprotobuf-c-dev
protobuf-c-compiler libsqlite3-dev libwslay-dev"
test_packages="libcmocka-dev clang libclang-rt-dev clang-tidy clang-format curl nodejs npm
chromium"
bench_packages="wrk nghttp2-client nghttp2-server nats-server nginx-core libnginx-mod-http-lua libnginx-mod-nchan lua-cjson linux-perf
netcat-openbsd"
case "${1:-run}" in
test) packages="$packages $test_packages" ;;
bench) packages="$packages $test_packages $bench_packages" ;;
esac

missing=""
for package in $packages; do
    case $package in
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
    sudo="sudo"
    echo "hookmoon: these packages are missing and will be installed through sudo:$missing"
else
    echo "hookmoon: installing$missing"
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
