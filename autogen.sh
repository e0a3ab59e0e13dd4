#!/bin/sh
# Makes ./configure from a fresh checkout.
set -eu
cd "$(dirname "$0")"
exec autoreconf --install --force --warnings=all
