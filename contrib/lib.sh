# lib.sh: what contrib/try and contrib/test share.  Sourced by bash.
#
# SPDX-License-Identifier: ISC

set -eu -o pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian's own tools, whatever version managers have put in front of them.
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export LC_ALL=C.UTF-8
python=/usr/bin/python3

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# want PACKAGE TEST...: remembers the package when the test fails.
missing=()
want() {
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

has() {
	command -v "$1"
}

want_build_tools() {
	want gcc has gcc
	want libc6-dev test -e /usr/include/stdio.h
	want make has make
	want autoconf has autoconf
	want automake has automake
	want libtool has libtoolize
	want pkg-config has pkg-config
	want libconfuse-dev test -e /usr/include/confuse.h
	want libev-dev test -e /usr/include/ev.h
	want check test -e /usr/include/check.h
	want python3 test -x "$python"
	want curl has curl
	want procps has ps
}

# Root's commands, as root or through sudo; never waits for a password where nobody can type one.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif ! has sudo >/dev/null; then
		die "needs root or sudo for: $*"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y \
		--no-install-recommends install "$@" </dev/null
}

install_missing() {
	[ ${#missing[@]} -gt 0 ] || return 0
	has apt-get >/dev/null || die "please install: ${missing[*]}"
	say "installing: ${missing[*]}"
	if ! apt_install "${missing[@]}" >"$work/apt.log" 2>&1; then
		as_root apt-get -o DPkg::Lock::Timeout=300 -qq update </dev/null >>"$work/apt.log" 2>&1 || :
		apt_install "${missing[@]}" >>"$work/apt.log" 2>&1 || {
			tail -n 20 "$work/apt.log" >&2
			die "could not install: ${missing[*]}"
		}
	fi
	missing=()
}

# A directory of our own that servers of other users can reach, too: a checkout in /root may not be one.
make_work_directory() {
	umask 022
	work=$(mktemp -d "/tmp/$1.XXXXXX")
	chmod 0755 "$work"
}

# logged NAME COMMAND...: quiet while all goes well, the end of the log otherwise.
logged() {
	local name=$1 log
	shift
	log=$work/${name//[^A-Za-z0-9]/-}.log
	"$@" >"$log" 2>&1 </dev/null && return 0
	say "FAILED: $name: $*"
	tail -n 60 "$log"
	return 1
}

# The sources as they are here, without what building has left in them, made ready to configure. The
# checkout itself stays untouched.
copy_sources() {
	mkdir -p "$work/source"
	if git -c safe.directory='*' -C "$top" rev-parse --show-toplevel >/dev/null 2>&1; then
		(cd "$top" && git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
			while IFS= read -r -d '' file; do
				[ ! -e "$file" ] || printf '%s\0' "$file"
			done | tar --null --no-recursion -T - -cf -) | tar -C "$work/source" --no-same-owner -xf -
	else
		tar -C "$top" --exclude=./build --exclude='*.o' --exclude='*.lo' --exclude='*.la' --exclude=.libs \
			--exclude=./config.status -cf - . | tar -C "$work/source" --no-same-owner -xf -
	fi
	logged autogen "$work/source/autogen.sh"
}

# build NAME CONFIGURE-ARGUMENT...: in $work/NAME, installed into $work/NAME/prefix.
build() {
	local name=$1
	shift
	mkdir -p "$work/$name"
	(
		cd "$work/$name"
		logged "$name: configure" "$work/source/configure" --prefix="$work/$name/prefix" --disable-static "$@" &&
			logged "$name: make" make -s -j"$(nproc)" &&
			logged "$name: make install" make -s install
	)
}
