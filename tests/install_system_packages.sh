#!/bin/sh
# Install what Qt, OpenGL and a virtual screen need, the PostgreSQL server and the browser Chromium, on Debian, with
# apt-get where that is allowed; else print the exact command. With arguments: install those packages instead.
# libglib2.0-bin is there for the library it needs, whose own name differs (libglib2.0-0, libglib2.0-0t64).
set -eu

packages="${*:-xvfb xauth libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 libglib2.0-bin \
libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 postgresql chromium chromium-driver}"

if ! command -v apt-get >/dev/null 2>&1; then
    [ $# -eq 0 ] && command -v xvfb-run >/dev/null 2>&1 && command -v initdb >/dev/null 2>&1 && exit 0
    echo "This system has no apt-get. Install the equivalent of these Debian packages: $packages" >&2
    exit 1
fi

missing=""
for package in $packages; do
    [ "$package" = postgresql ] && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && continue
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo"
else
    echo "These system packages are missing. Install them, then run make again:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y$missing" >&2
    exit 1
fi
# shellcheck disable=SC2086  # words on purpose
if $run apt-get update -qq && $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing; then
    exit 0
fi
# Debian's package of PostgreSQL also makes a server of its own and starts it, which can fail in a container. The tests
# start theirs: what counts is that the programs are there, and everything else is installed.
for package in $missing; do
    case $package in
    postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ;;
    *) dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ;;
    esac || { echo "Installing $package failed: see above." >&2; exit 1; }
done
