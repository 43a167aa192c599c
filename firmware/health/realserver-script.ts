/**
 * The script that makes a machine a real server in DR or TUN mode. Pure: text out.
 *
 * A real server must hold the VIP, or it drops what the director sends it, and must not speak of it (ARP),
 * or the switch sends clients to it past the director. Both have to survive a reboot.
 */
import type { Forwarding } from "../config/model.ts";

export interface RealServerScript {
	readonly forwarding: Exclude<Forwarding, { readonly kind: "NAT" }>;
	/** Canonical addresses. */
	readonly vips: readonly string[];
}

interface Tunnel {
	readonly module: string;
	readonly device: string;
	/** Commands that make the device ready. */
	readonly setUp: readonly string[];
}

/** The kernel's own catch-all devices: each takes tunnel packets from any director. */
function tunnelsFor({ forwarding, vips }: RealServerScript): Tunnel[] {
	if (forwarding.kind !== "TUN") return [];
	const up = (device: string) => [`ip link set ${device} up`];
	const v4 = vips.some((vip) => !vip.includes(":"));
	const v6 = vips.some((vip) => vip.includes(":"));
	const tunnels: Tunnel[] = [];
	switch (forwarding.tunnel) {
		case "gre":
			if (v4) tunnels.push({ module: "ip_gre", device: "gre0", setUp: up("gre0") });
			if (v6) tunnels.push({ module: "ip6_gre", device: "ip6gre0", setUp: up("ip6gre0") });
			break;
		case "gue":
			tunnels.push({
				module: "fou",
				device: "tunl0",
				setUp: [
					`ip fou add port ${forwarding.port} gue 2>/dev/null || ip fou show | grep -q "port ${forwarding.port} gue"`,
				],
			});
			tunnels.push({ module: "ipip", device: "tunl0", setUp: up("tunl0") });
			if (v6) tunnels.push({ module: "sit", device: "sit0", setUp: up("sit0") });
			break;
		case "ipip":
			if (v4) tunnels.push({ module: "ipip", device: "tunl0", setUp: up("tunl0") });
			if (v6) {
				tunnels.push({ module: "ip6_tunnel", device: "ip6tnl0", setUp: up("ip6tnl0") });
				tunnels.push({ module: "sit", device: "sit0", setUp: up("sit0") });
			}
			break;
	}
	return tunnels;
}

/** Run as root: `sh -s` sets up, `sh -s remove` takes it back. $ROOT is a prefix for the files it writes. */
export function realServerScript(wanted: RealServerScript): string {
	const { forwarding, vips } = wanted;
	const tunnels = tunnelsFor(wanted);
	const devices = [...new Set(tunnels.map(({ device }) => device))];
	const addresses = vips.map((vip) => `${vip}/${vip.includes(":") ? 128 : 32}`);
	const settings = [
		// Answer ARP only for addresses of the interface that was asked on: the VIP on lo is none of them.
		"net.ipv4.conf.all.arp_ignore = 1",
		// Never name the VIP as sender in an ARP request.
		"net.ipv4.conf.all.arp_announce = 2",
		// What leaves the tunnel came from the client, whose way back is another interface.
		...(tunnels.length === 0
			? []
			: ["all", ...devices].map((device) => `net.ipv4.conf.${device}.rp_filter = 0`)),
	];
	const modules = [...new Set(tunnels.map(({ module }) => module))];
	return `#!/bin/sh
# Real server behind a Drover director, ${forwarding.kind} mode${
		forwarding.kind === "TUN" ? ` (${forwarding.tunnel})` : ""
	}: ${vips.join(" ")}
# Run as root. With the word "remove" it takes everything back.
set -eu
ROOT=\${ROOT:-}
NAME=drover-realserver
ADDRESSES="${addresses.join(" ")}"
SYSCTL=$ROOT/etc/sysctl.d/90-$NAME.conf
MODULES=$ROOT/etc/modules-load.d/$NAME.conf
HELPER=$ROOT/usr/local/sbin/$NAME
UNIT=$ROOT/etc/systemd/system/$NAME.service
NETWORKD=$ROOT/etc/systemd/network/10-$NAME.network
IFUP=$ROOT/etc/network/if-up.d/$NAME
[ "$(id -u)" = 0 ] || { echo "run this as root" >&2; exit 1; }

if [ "\${1:-}" = remove ]; then
	for address in $ADDRESSES; do ip address del "$address" dev lo 2>/dev/null || true; done
	[ ! -e "$UNIT" ] || [ -n "$ROOT" ] || systemctl disable --quiet $NAME.service || true
	rm -f "$SYSCTL" "$MODULES" "$HELPER" "$UNIT" "$NETWORKD" "$IFUP"
	echo "removed; arp_ignore and arp_announce stay as they are until the next boot"
	exit 0
fi

# What an earlier run has put here and is wanted no more.
if [ -e "$HELPER" ]; then
	for address in $(sed -n 's/^ip address replace \\([^ ]*\\) dev lo.*/\\1/p' "$HELPER"); do
		case " $ADDRESSES " in
		*" $address "*) ;;
		*) ip address del "$address" dev lo 2>/dev/null || true ;;
		esac
	done
fi

# 1. What is set at every boot, and now. Silence first, the address after it.
mkdir -p "$(dirname "$SYSCTL")" "$(dirname "$HELPER")"
cat >"$SYSCTL" <<'END'
${settings.join("\n")}
END
${
	modules.length === 0
		? ""
		: `mkdir -p "$(dirname "$MODULES")"
printf '%s\\n' ${modules.join(" ")} >"$MODULES"
`
}cat >"$HELPER" <<'END'
#!/bin/sh
# Written by "drover realserver ${forwarding.kind}".
set -eu
${[
	...modules.map((module) => `modprobe ${module} 2>/dev/null || true`),
	...new Set(tunnels.flatMap(({ setUp }) => setUp)),
	...settings.map((setting) => {
		const [key, value] = setting.split(" = ");
		return `echo ${value} >/proc/sys/${key!.replaceAll(".", "/")}`;
	}),
	// No word but these: busybox's ip knows few, and the kernel tries no address of lo for duplicates.
	...addresses.map((address) => `ip address replace ${address} dev lo`),
].join("\n")}
END
chmod 755 "$HELPER"
sh "$HELPER"

# 2. Who calls it at boot.
if [ -d "$ROOT/run/systemd/system" ]; then
	mkdir -p "$(dirname "$UNIT")"
	cat >"$UNIT" <<'END'
[Unit]
Description=Virtual addresses of the load balancer
After=systemd-sysctl.service systemd-modules-load.service
Before=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/drover-realserver

[Install]
WantedBy=multi-user.target network.target
END
	if [ -z "$ROOT" ]; then systemctl daemon-reload; systemctl enable --quiet $NAME.service; fi
	# systemd-networkd takes foreign addresses off interfaces that it manages: it gets to know these.
	if [ -n "$ROOT" ] || systemctl is-active --quiet systemd-networkd.service; then
		mkdir -p "$(dirname "$NETWORKD")"
		cat >"$NETWORKD" <<'END'
[Match]
Name=lo

[Network]
KeepConfiguration=yes
${addresses.map((address) => `Address=${address}`).join("\n")}
END
	fi
elif [ -d "$ROOT/etc/network" ]; then
	mkdir -p "$(dirname "$IFUP")"
	printf '#!/bin/sh\\n[ "$IFACE" != lo ] || exec /usr/local/sbin/drover-realserver\\n' >"$IFUP"
	chmod 755 "$IFUP"
else
	echo "set up now; have your system run /usr/local/sbin/drover-realserver at boot" >&2
fi
echo "this machine accepts $ADDRESSES and keeps quiet about it"
`;
}
