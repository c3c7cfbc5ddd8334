#!/bin/sh
# Install the Debian packages named as arguments that are missing: as root directly, otherwise name the command.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this system has no apt-get: install what Debian calls$missing with your own package manager" >&2
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "system libraries are missing. Please run once:" >&2
    echo "    sudo apt-get update && sudo apt-get install --yes --no-install-recommends$missing" >&2
    exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086  # a list of package names
DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends $missing >/dev/null
