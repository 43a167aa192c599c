/** keepalived.conf from the disk to the model: the classic tutorial file, and what services rely on. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import { instance, loadText } from "./load-text.ts";

const tutorial = `! Configuration File for keepalived

global_defs {
   router_id LVS_DEVEL
}

vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.168.80.200
    }
}

virtual_server 192.168.80.200 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    nat_mask 255.255.255.0
    persistence_timeout 0
    protocol TCP

    real_server 192.168.80.102 80 {
        weight 3
        TCP_CHECK {
            connect_timeout 10
            nb_get_retry 3
            delay_before_retry 3
            connect_port 80
        }
    }
    real_server 192.168.80.103 80 {
        weight 3
        TCP_CHECK {
            connect_timeout 10
            nb_get_retry 3
            delay_before_retry 3
            connect_port 80
        }
    }
}
`;

describe("the tutorial's file", () => {
	const { config, diagnostics, acceptable, exitStatus } = loadText(tutorial);

	test("is accepted; old spellings give hints only", () => {
		expect(diagnostics.map((one) => `${one.severity} ${one.code} ${one.location.line}`)).toEqual([
			"hint old-spelling 26",
			"hint persistence-zero 27",
			"hint old-spelling 34",
		]);
		expect(acceptable).toBe(true);
		expect(exitStatus).toBe(5);
	});

	test("its instance", () => {
		expect(config.vrrpInstances).toHaveLength(1);
		expect(config.vrrpInstances[0]).toMatchObject({
			name: "VI_1",
			family: "inet",
			version: 2,
			interface: "eth0",
			virtualRouterId: 51,
			initialState: "MASTER",
			priority: 100,
			advertIntervalMicros: 1_000_000,
			downTimerAdverts: 3,
			preempt: true,
			authentication: { type: "PASS", password: "1111" },
			multicastDestination: "224.0.0.18",
			virtualAddresses: [{ address: "192.168.80.200", prefixLength: 32, family: "inet", interface: null }],
			garp: { delayMs: 5000, repeat: 5, refreshMs: 0, refreshRepeat: 1 },
		});
	});

	test("its virtual server, with everything that real servers and checks inherit", () => {
		const [server] = config.virtualServers;
		expect(server).toMatchObject({
			name: { kind: "address", address: "192.168.80.200", port: 80 },
			protocol: "TCP",
			scheduler: "wrr",
			forwarding: { kind: "DR" },
			persistenceTimeoutSeconds: null,
			delayLoopMs: 6000,
			pathCheck: true,
			quorum: 1,
		});
		expect(server!.realServers.map((one) => `${one.address}:${one.port} ${one.weight}`)).toEqual([
			"192.168.80.102:80 3",
			"192.168.80.103:80 3",
		]);
		expect(server!.realServers[0]!.checks[0]).toMatchObject({
			kind: "TCP_CHECK",
			target: { address: "192.168.80.102", port: 80, connectTimeoutMs: 10_000 },
			timing: { delayLoopMs: 6000, retry: 3, delayBeforeRetryMs: 3000, warmupMs: 6000 },
		});
	});
});

test("a network namespace that is not there has no interfaces to miss", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-namespace-"));
	const path = join(directory, "keepalived.conf");
	writeFileSync(path, `net_namespace nowhere\n${instance("\tinterface eth7")}`);
	const { diagnostics } = loadConfig(path);
	rmSync(directory, { recursive: true });
	expect(diagnostics.map(({ message }) => message)).toEqual([
		"net_namespace: there is no network namespace nowhere on this machine",
	]);
});
