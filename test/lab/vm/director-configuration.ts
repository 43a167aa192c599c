/** One keepalived.conf for all questions: each has a virtual address of its own, and clients of their own. */
import type { DirectorName } from "../../../image/lab/lab.ts";

export interface ConfigurationChange {
	/** Of dr1 behind 192.168.80.201; 3 unless told. */
	readonly firstWeight?: number;
	/** Of the virtual server 192.168.80.204; 1 unless told. */
	readonly quorumDelayLoop?: number;
}

export function directorConfiguration(name: DirectorName, change: ConfigurationChange): string {
	const [state, priority] = name === "a" ? ["MASTER", 100] : ["BACKUP", 99];
	const { firstWeight = 3, quorumDelayLoop = 1 } = change;
	return `
global_defs {
   router_id LVS_DEVEL
}

vrrp_instance VI_1 {
    state ${state}
    interface eth0
    virtual_router_id 51
    priority ${priority}
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.168.80.200
        192.168.80.201
        192.168.80.202
        192.168.80.203
        192.168.80.204
        192.168.80.206
    }
}

vrrp_instance VI_6 {
    state ${state}
    interface eth0
    virtual_router_id 52
    version 3
    priority ${priority}
    advert_int 1
    virtual_ipaddress {
        fe80::5e00:52
        fd00:80::201
        fd00:80::202
    }
}

# The tutorial's own.
virtual_server 192.168.80.200 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    nat_mask 255.255.255.0
    persistence_timeout 0
    protocol TCP
${[102, 103].map((host) => realServer(`192.168.80.${host}`, 3)).join("")}}

${weighted("192.168.80.201", "DR", ["192.168.80.111", "192.168.80.112", "192.168.80.113"], firstWeight)}
${weighted("192.168.80.202", "NAT", ["10.80.0.121", "10.80.0.122", "10.80.0.123"])}
${weighted("192.168.80.203", "TUN", ["192.168.80.131", "192.168.80.132", "192.168.80.133"])}
${weighted("fd00:80::201", "DR", ["fd00:80::111", "fd00:80::112", "fd00:80::113"])}
${weighted("fd00:80::202", "NAT", ["fd00:81::121", "fd00:81::122", "fd00:81::123"])}
${weighted("fwmark 6", "DR", ["192.168.80.111", "192.168.80.112", "192.168.80.113"])}

virtual_server 192.168.80.204 80 {
    delay_loop ${quorumDelayLoop}
    lb_algo rr
    lb_kind DR
    protocol TCP
    quorum 2
    sorry_server 192.168.80.113 80
${["192.168.80.111", "192.168.80.112"].map((address) => realServer(address, 1)).join("")}}
`;
}

/** Weights 3:2:1, checked every second. */
function weighted(name: string, kind: string, addresses: readonly string[], firstWeight = 3): string {
	const weights = [firstWeight, 2, 1];
	const where = name.startsWith("fwmark") ? name : `${name} 80`;
	return `virtual_server ${where} {
    delay_loop 1
    lb_algo wrr
    lb_kind ${kind}
    protocol TCP
${addresses.map((address, index) => realServer(address, weights[index]!)).join("")}}
`;
}

function realServer(address: string, weight: number): string {
	return `    real_server ${address} 80 {
        weight ${weight}
        TCP_CHECK {
            connect_timeout 5
            connect_port 80
        }
    }
`;
}
