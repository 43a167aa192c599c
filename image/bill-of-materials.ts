/**
 * What is in the image, as SPDX 2.3: every Debian package, npm package and crate with its
 * version and licence where the package says it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SOURCE_PACKAGE } from "./repack-kernel.ts";
import { imageTimeSeconds } from "./squashfs.ts";

const project = join(import.meta.dir, "..");

/** Debian packages whose files lie in the image; their libraries' packages are found by dpkg. */
const debianPackages = [
	"busybox-static",
	"libc6",
	"libgcc-s1",
	"iproute2",
	"nftables",
	"runit",
	"openntpd",
	"libmnl0",
	"libcap2",
	"libnftables1",
	"libnftnl11",
	"libxtables12",
	"libgmp10",
	"libjansson4",
	"zlib1g",
	"dash",
	"bash",
	"libtinfo6",
	"ncurses-base",
	"util-linux",
	"e2fsprogs",
	"libext2fs2",
	"libcom-err2",
	"libblkid1",
	"libuuid1",
	"openssh-server",
	"openssh-client",
	"libssl3",
	"libcrypt1",
	"libpam0g",
	"grub-pc-bin",
	"grub-efi-amd64-bin",
];

interface Package {
	readonly name: string;
	readonly version: string;
	readonly kind: "deb" | "npm" | "cargo";
	readonly license: string;
}

function debian(kernelRelease: string): Package[] {
	const names = [...debianPackages, `linux-image-${kernelRelease}`, SOURCE_PACKAGE];
	const format = ["Package", "Version", "db:Status-Status"].map((field) => `\${${field}}`).join(" ");
	const { stdout } = Bun.spawnSync(["dpkg-query", "-W", "-f", `${format}\n`, ...names]);
	return stdout
		.toString()
		.trim()
		.split("\n")
		.map((line) => line.split(" "))
		.filter(([, , status]) => status === "installed")
		.map(([name, version]) => ({ name: name!, version: version!, kind: "deb", license: "NOASSERTION" }));
}

function npm(): Package[] {
	const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")) as {
		packages: Record<string, { version: string; license?: string; dev?: boolean }>;
	};
	return Object.entries(lock.packages)
		.filter(
			([path, { dev }]) => path !== "" && (!dev || /^node_modules\/(bun|@oven\/bun-linux-x64)$/.test(path)),
		)
		.filter(([path]) => existsSync(join(project, path)))
		.map(([path, { version, license }]) => ({
			name: path.replace(/^.*node_modules\//, ""),
			version,
			kind: "npm",
			license: license ?? "NOASSERTION",
		}));
}

function crates(): Package[] {
	const lock = Bun.TOML.parse(readFileSync(join(project, "native/Cargo.lock"), "utf8")) as {
		package: readonly { name: string; version: string; source?: string }[];
	};
	return lock.package
		.filter(({ source }) => source !== undefined)
		.map(({ name, version }) => ({ name, version, kind: "cargo", license: "NOASSERTION" }));
}

export function billOfMaterials(version: string, kernelRelease: string): object {
	const packages = [...debian(kernelRelease), ...npm(), ...crates()];
	return {
		spdxVersion: "SPDX-2.3",
		dataLicense: "CC0-1.0",
		SPDXID: "SPDXRef-DOCUMENT",
		name: `drover-${version}`,
		documentNamespace: `urn:drover:${version}`,
		creationInfo: {
			created: new Date(imageTimeSeconds * 1000).toISOString().replace(".000", ""),
			creators: ["Tool: drover-image"],
		},
		packages: packages.map(({ name, version: packageVersion, kind, license }) => ({
			SPDXID: `SPDXRef-${kind}-${name.replace(/[^A-Za-z0-9.-]/g, "-")}-${packageVersion.replace(/[^A-Za-z0-9.-]/g, "-")}`,
			name,
			versionInfo: packageVersion,
			downloadLocation: "NOASSERTION",
			filesAnalyzed: false,
			licenseDeclared: license,
			externalRefs: [
				{
					referenceCategory: "PACKAGE-MANAGER",
					referenceType: "purl",
					referenceLocator: `pkg:${kind === "deb" ? "deb/debian" : kind}/${encodeURIComponent(name)}@${encodeURIComponent(packageVersion)}`,
				},
			],
		})),
	};
}
