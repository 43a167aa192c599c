#!/bin/sh
# Sets up a Debian 12 machine (as root) for building, running and testing: Debian packages,
# the pinned Bun and npm packages, the Rust shim. Does nothing that is already done.
#
#   image/setup.sh build    what the image and the lab need
#   image/setup.sh test     that, and the peers the tests compare with
set -eu
cd "$(dirname "$0")/.."

build_packages="bc bison busybox-static ca-certificates cpio dosfstools e2fsprogs fdisk flex gcc grub-common grub-efi-amd64-bin \
	grub-pc-bin iproute2 iputils-ping kmod libc6-dev libssl-dev linux-image-amd64 linux-source-6.1 lz4 make mtools nftables openntpd openssh-client openssh-server procps qemu-system-x86 \
	runit socat squashfs-tools xz-utils zstd"
test_packages="cryptsetup-bin haproxy ipvsadm iputils-arping keepalived nginx-light openssl ovmf psmisc python3 python3-prometheus-client rsyslog rsyslog-gnutls smitools snmp snmpd snmptrapd strace tcpdump \
	tmux tshark user-mode-linux varnish varnish-modules wrk"

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# On a terminal, what apt-get is at and how far, from its machine-readable report: "dlstatus:…" and "pmstatus:what:percent:…".
show_progress() {
	while IFS=: read -r kind what percent _; do
		[ -t 2 ] || continue
		case $kind in
		dlstatus) printf '\r\033[Kfetching, %d %%' "${percent%%.*}" ;;
		pmstatus) printf '\r\033[Kinstalling, %d %%: %s' "${percent%%.*}" "$what" ;;
		esac >&2
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# The arguments of apt-get install.
install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	failure=$(mktemp)
	{ apt-get install -y -q -o APT::Status-Fd=3 "$@" 3>&1 >/dev/null || echo $? >"$failure"; } | show_progress
	if [ -s "$failure" ]; then
		rm "$failure"
		return 1
	fi
	rm "$failure"
}

install_missing() {
	missing=
	for package in "$@"; do installed "$package" || missing="$missing $package"; done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || {
		echo "These Debian packages are missing; run this as root, or install them:$missing" >&2
		exit 1
	}
	echo "Installing Debian packages:$missing"
	apt-get update -q >/dev/null
	# A freshly installed peer must not start as a service of this machine.
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
	# shellcheck disable=SC2086
	install_packages --no-install-recommends $missing
}

cargo_is_new_enough() {
	command -v cargo >/dev/null && cargo --version | awk '{ split($2, v, "."); exit !(v[1] > 1 || v[2] >= 88) }'
}
packages=$build_packages
[ "${1:-build}" != test ] || packages="$packages $test_packages"
cargo_is_new_enough || packages="$packages rustc-web cargo-web"
command -v npm >/dev/null || packages="$packages npm"
# shellcheck disable=SC2086
install_missing $packages

# The kernel is packed anew by rules from the source of its own version, which may be older than the newest.
version() {
	# shellcheck disable=SC2016
	dpkg-query -W -f '${Version}' "$1"
}
if [ "$(version linux-source-6.1)" != "$(version linux-image-amd64)" ]; then
	apt-get update -q >/dev/null
	install_packages --allow-downgrades "linux-source-6.1=$(version linux-image-amd64)" 2>/dev/null ||
		install_packages --no-install-recommends linux-image-amd64 linux-source-6.1
fi

npm_packages() {
	stamp=node_modules/.package-lock.json
	if [ -e $stamp ] && [ ! package-lock.json -nt $stamp ]; then return; fi
	echo "Installing npm packages"
	# Not "npm ci": it wants other platforms' optional packages in the lock file, which npm itself leaves out.
	npm install --no-save --no-progress --loglevel=error && touch $stamp
}
# Neither needs the other.
native/build.sh &
shim=$!
npm_packages || failed=1
wait $shim || failed=1
[ -z "${failed:-}" ]
