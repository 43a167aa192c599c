/**
 * Bad input: every mistake gets a clear message, and nothing else is lost by it.
 * The messages are part of the interface: an operator reads them at three in the morning.
 */
import { describe, expect, test } from "bun:test";
import { problemOf } from "../../firmware/config/keepalived/diagnostics.ts";
import { findings, instance, loadText, server } from "./load-text.ts";

interface Case {
	readonly title: string;
	readonly text: string | Uint8Array;
	/** All findings, as they are printed. */
	readonly messages: readonly string[];
	readonly acceptable: boolean;
	/** What keepalived -t exits with, or what it should when it is silent. */
	readonly exitStatus: number;
}

const sections: Readonly<Record<string, readonly Case[]>> = {
	"unknown keyword at each level": [
		{
			title: "outermost",
			text: `vrrp_instanse V {\n\tinterface eth0\n}\n${instance()}`,
			messages: [
				`keepalived.conf:1:1: error: there is no keyword "vrrp_instanse" at the outermost level
    vrrp_instanse V {
    ^^^^^^^^^^^^^
    lost: the whole block
    did you mean "vrrp_instance"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "global_defs",
			text: "global_defs {\n\trouterid A\n}\n",
			messages: [
				`keepalived.conf:2:2: error: there is no keyword "routerid" in global_defs
    routerid A
    ^^^^^^^^
    lost: this line
    did you mean "router_id"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "vrrp_instance",
			text: instance("\tprioritty 100"),
			messages: [
				`keepalived.conf:7:2: error: there is no keyword "prioritty" in vrrp_instance VI_1
    prioritty 100
    ^^^^^^^^^
    lost: this line
    did you mean "priority"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a block in vrrp_instance: what stands after it is kept",
			text: "vrrp_instance VI_1 {\n\tinterface eth0\n\tvirtual_router_id 51\n\tfoo {\n\t\tbar\n\t}\n\tvirtual_ipaddress {\n\t\t10.0.0.1\n\t}\n}\n",
			messages: [
				`keepalived.conf:4:2: error: there is no keyword "foo" in vrrp_instance VI_1
    foo {
    ^^^
    lost: the whole block; keepalived would lose the rest of vrrp_instance VI_1 as well, Drover reads on after it`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a block whose lines would stop keepalived in the block around it",
			text: instance("\tfoo {\n\t\tpriority\n\t}"),
			messages: [
				`keepalived.conf:7:2: error: there is no keyword "foo" in vrrp_instance VI_1
    foo {
    ^^^
    lost: the whole block; keepalived would lose the rest of vrrp_instance VI_1 as well, Drover reads on after it`,
			],
			acceptable: false,
			exitStatus: 2,
		},
		{
			title: "virtual_server",
			text: server("\tlb_algoo rr"),
			messages: [
				`keepalived.conf:8:2: error: there is no keyword "lb_algoo" in virtual_server 10.0.0.1 80
    lb_algoo rr
    ^^^^^^^^
    lost: this line
    did you mean "lb_algo"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "real_server",
			text: server("", "\t\twieght 3"),
			messages: [
				`keepalived.conf:6:3: error: there is no keyword "wieght" in real_server 10.0.1.2 80
    wieght 3
    ^^^^^^
    lost: this line
    did you mean "weight"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "check",
			text: server("", "\t\tTCP_CHECK {\n\t\t\tconect_timeout 3\n\t\t}"),
			messages: [
				`keepalived.conf:7:4: error: there is no keyword "conect_timeout" in TCP_CHECK
    conect_timeout 3
    ^^^^^^^^^^^^^^
    lost: this line
    did you mean "connect_timeout"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "url",
			text: server("", "\t\tHTTP_GET {\n\t\t\turl {\n\t\t\t\tpath /\n\t\t\t\tdigst 0\n\t\t\t}\n\t\t}"),
			messages: [
				`keepalived.conf:9:5: error: there is no keyword "digst" in url
    digst 0
    ^^^^^
    lost: this line
    did you mean "digest"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "one that belongs elsewhere",
			text: "global_defs {\n\tpriority 5\n}\n",
			messages: [
				`keepalived.conf:2:2: error: there is no keyword "priority" in global_defs
    priority 5
    ^^^^^^^^
    lost: this line
    it belongs into vrrp_instance`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	braces: [
		{
			title: "missing at the end",
			text: "global_defs {\n\trouter_id A\n",
			messages: [
				`keepalived.conf:2:13: error: the file ends within global_defs: "}" is missing
    router_id A
               ^
    lost: nothing, if the brace belongs at the end of the file`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "missing at the beginning",
			text: "global_defs\n\trouter_id A\n}\n",
			messages: [
				`keepalived.conf:1:1: error: global_defs needs a block: "{" is missing
    global_defs
    ^^^^^^^^^^^
    write "global_defs {"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "one too many",
			text: "global_defs {\n\trouter_id A\n}\n}\n",
			messages: [
				`keepalived.conf:4:1: error: "}" closes nothing
    }
    ^
    lost: the brace; perhaps the block above it was closed too early`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "without a keyword",
			text: "{\n\tfoo\n}\n",
			messages: [
				`keepalived.conf:1:1: error: "{" opens a block without a keyword
    {
    ^
    lost: everything up to its "}"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "behind a keyword that has no block",
			text: instance("\tpriority 100 {\n\t\tx\n\t}"),
			messages: [
				`keepalived.conf:7:2: error: priority takes no block
    priority 100 {
    ^^^^^^^^
    lost: the block`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "in a value block",
			text: instance("\ttrack_interface {\n\t\teth1 {\n\t\t\tx\n\t\t}\n\t}"),
			messages: [
				`keepalived.conf:8:3: error: a block cannot stand in track_interface
    eth1 {
    ^^^^
    lost: the block`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	arguments: [
		{
			title: "missing",
			text: instance("\tpriority"),
			messages: [
				`keepalived.conf:7:2: error: priority needs a number from 1 to 255
    priority
    ^^^^^^^^
    lost: priority; keepalived would not even start`,
			],
			acceptable: false,
			exitStatus: 2,
		},
		{
			title: "missing name",
			text: "vrrp_instance {\n}\n",
			messages: [
				`keepalived.conf:1:1: error: vrrp_instance needs a name
    vrrp_instance {
    ^^^^^^^^^^^^^
    lost: the whole block`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "number out of range",
			text: instance("\tpriority 300"),
			messages: [
				`keepalived.conf:7:11: error: priority: 300 is out of range: 1 to 255
    priority 300
             ^^^
    lost: priority; its default holds: 255 with state MASTER, else 100`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "out of range, and what holds without the line (keepalived's own sample has it)",
			text: `global_defs {\n\tvrrp_garp_interval 0\n}\n${instance("")}`,
			messages: [
				`keepalived.conf:2:21: warning: vrrp_garp_interval 0 is out of range: 0.000001 to 4294.967295; nothing is lost, it is 0 without the line
    vrrp_garp_interval 0
                       ^
    leave the line out`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "a network namespace that is not there",
			text: `net_namespace nowhere\n${instance()}`,
			messages: [
				`keepalived.conf:1:1: error: net_namespace: there is no network namespace nowhere on this machine
    net_namespace nowhere
    ^^^^^^^^^^^^^
    lost: everything: what is in the file runs in it, and nothing starts
    make it first: "ip netns add nowhere"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "interval out of range",
			text: instance("\tadvert_int 0"),
			messages: [
				`keepalived.conf:7:13: error: advert_int: 0 is out of range: 0.01 to 255
    advert_int 0
               ^
    lost: advert_int; its default holds: 1`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "no hexadecimal digits",
			text: server("", "\t\tUDP_CHECK {\n\t\t\tpayload 0x01\n\t\t}").replace("TCP", "UDP"),
			messages: [
				`keepalived.conf:7:4: error: payload: "0x01" is not hexadecimal digits
    payload 0x01
    ^^^^^^^
    lost: payload`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "no number",
			text: instance("\tpriority ten"),
			messages: [
				`keepalived.conf:7:11: error: priority: "ten" is not a whole number
    priority ten
             ^^^
    lost: priority; its default holds: 255 with state MASTER, else 100`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "too many decimals",
			text: instance("\tpreempt_delay 1.2345678\n\tstate BACKUP"),
			messages: [
				`keepalived.conf:7:16: error: preempt_delay: "1.2345678" is not a number of seconds with at most 6 decimals
    preempt_delay 1.2345678
                  ^^^^^^^^^
    lost: preempt_delay; its default holds: 0`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "too many words",
			text: instance("\tstate BACKUP\n\tnopreempt yes please"),
			messages: [
				`keepalived.conf:8:12: warning: "yes please" after nopreempt is not read
    nopreempt yes please
              ^^^`,
			],
			acceptable: true,
			exitStatus: 0,
		},
		{
			title: "open quote",
			text: 'global_defs {\n\trouter_id "abc\n}\n',
			messages: [
				`keepalived.conf:2:12: error: the quote is not closed on its line
    router_id "abc
              ^^^^
    lost: keepalived drops the quoted words; Drover reads them up to the end of the line`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "another manual's word",
			text: instance("\tstate SLAVE"),
			messages: [
				`keepalived.conf:7:8: error: state: "SLAVE" is none of MASTER, BACKUP
    state SLAVE
          ^^^^^
    lost: state; its default holds: MASTER with priority 255, else BACKUP
    did you mean "BACKUP"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a scheduler misspelt",
			text: server("\tlvs_sched wcl"),
			messages: [
				`keepalived.conf:8:12: error: lvs_sched: "wcl" is none of rr, wrr, lc, wlc, lblc, lblcr, sh, mh, dh, fo, ovf, sed, nq, twos
    lvs_sched wcl
              ^^^
    lost: lvs_sched; its default holds: wlc
    did you mean "wlc"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a setting written twice",
			text: instance("\tpriority 1\n\tpriority 2"),
			messages: [
				`keepalived.conf:8:2: warning: priority stands twice in vrrp_instance VI_1: this one holds, the one in line 7 does not
    priority 2
    ^^^^^^^^`,
			],
			acceptable: true,
			exitStatus: 0,
		},
		{
			title: "no address",
			text: instance("", "VI_1", 51, "10.0.0.300"),
			messages: [
				`keepalived.conf:1:1: warning: VI_1 has no virtual address
    vrrp_instance VI_1 {
    ^^^^^^^^^^^^^`,
				`keepalived.conf:5:3: error: VI_1: "10.0.0.300" is no IP address
    10.0.0.300
    ^^^^^^^^^^
    lost: the address`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "no option of an address",
			text: instance("", "VI_1", 51, "10.0.0.1/24 dve eth0"),
			messages: [
				`keepalived.conf:5:3: error: VI_1: 10.0.0.1/24: "dve" is no option of an address
    10.0.0.1/24 dve eth0
    ^^^^^^^^^^^^^^^^^^^^
    lost: the option; the address is kept`,
				`keepalived.conf:5:3: error: VI_1: 10.0.0.1/24: "eth0" is no option of an address
    10.0.0.1/24 dve eth0
    ^^^^^^^^^^^^^^^^^^^^
    lost: the option; the address is kept`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	VRRP: [
		{
			title: "VRID twice on one interface",
			text: instance() + instance("", "VI_2", 51, "10.0.0.2"),
			messages: [
				`keepalived.conf:9:1: error: VI_2 and VI_1 both use VRID 51 with IPv4 on eth0
    vrrp_instance VI_2 {
    ^^^^^^^^^^^^^
    lost: both: neither can tell its own adverts from the other's`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "address listed twice",
			text: instance("", "VI_1", 51, "10.0.0.1\n\t\t10.0.0.1/24"),
			messages: [
				`keepalived.conf:6:3: error: VI_1: 10.0.0.1 is listed twice
    10.0.0.1/24
    ^^^^^^^^
    lost: nothing here; but adverts carry it twice, and a peer that lists it once may drop them`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "address in two instances",
			text: instance() + instance("", "VI_2", 52),
			messages: [
				`keepalived.conf:13:3: error: 10.0.0.1 is listed in VI_1 and in VI_2
    10.0.0.1
    ^^^^^^^^
    lost: the address, as soon as either of them leaves MASTER`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "interface that does not exist",
			text: instance().replace("eth0", "eth7"),
			messages: [
				`keepalived.conf:2:2: error: VI_1: there is no interface eth7 on this machine
    interface eth7
    ^^^^^^^^^
    lost: VI_1 waits until eth7 appears
    interfaces here: eth0, eth1; "dynamic_interfaces" in global_defs is for one that comes later`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "interface of an address that does not exist",
			text: instance("", "VI_1", 51, "10.0.0.1 dev eth7"),
			messages: [
				`keepalived.conf:5:3: error: VI_1: address 10.0.0.1: there is no interface eth7 on this machine
    10.0.0.1 dev eth7
    ^^^^^^^^^^^^^^^^^
    lost: VI_1: address 10.0.0.1 waits until eth7 appears
    interfaces here: eth0, eth1; "dynamic_interfaces" in global_defs is for one that comes later`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "loopback",
			text: instance().replace("eth0", "lo"),
			messages: [
				`keepalived.conf:2:2: error: VI_1: VRRP cannot run on the loopback interface
    interface lo
    ^^^^^^^^^
    lost: the whole instance VI_1`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "no VRID",
			text: "vrrp_instance V {\n\tinterface eth0\n\tvirtual_ipaddress {\n\t\t10.0.0.1\n\t}\n}\n",
			messages: [
				`keepalived.conf:1:1: error: V: virtual_router_id is missing
    vrrp_instance V {
    ^^^^^^^^^^^^^
    lost: the whole instance V, and its addresses
    write "virtual_router_id N", a number from 1 to 255 that all its routers share`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "instance twice",
			text: instance() + instance("", "VI_1", 52, "10.0.0.2"),
			messages: [
				`keepalived.conf:9:1: error: vrrp_instance VI_1 is defined twice
    vrrp_instance VI_1 {
    ^^^^^^^^^^^^^
    lost: the second one`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "nopreempt with state MASTER",
			text: instance("\tstate MASTER\n\tpriority 100\n\tnopreempt"),
			messages: [
				`keepalived.conf:9:2: warning: VI_1: nopreempt needs state BACKUP
    nopreempt
    ^^^^^^^^^
    lost: nopreempt: it will take over from a lower master
    write "state BACKUP"; the election still makes it master when nobody else is`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "preempt_delay with state MASTER",
			text: instance("\tstate MASTER\n\tpriority 100\n\tpreempt_delay 5"),
			messages: [
				`keepalived.conf:9:2: warning: VI_1: preempt_delay does not go with state MASTER
    preempt_delay 5
    ^^^^^^^^^^^^^
    lost: preempt_delay`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "VRRPv2 counts whole seconds",
			text: instance("\tadvert_int 0.5"),
			messages: [
				`keepalived.conf:7:2: warning: VI_1: VRRPv2 counts whole seconds: advert_int 0.5 becomes 1
    advert_int 0.5
    ^^^^^^^^^^
    write "version 3" for shorter intervals`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "two families",
			text: instance("", "VI_1", 51, "10.0.0.1\n\t\t2001:db8::1"),
			messages: [
				`keepalived.conf:6:3: error: VI_1: 2001:db8::1 is not of the family of the first address
    2001:db8::1
    ^^^^^^^^^^^
    lost: the address
    write it under virtual_ipaddress_excluded`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "authentication in VRRPv3",
			text: instance("\tversion 3\n\tauthentication {\n\t\tauth_type PASS\n\t\tauth_pass 1111\n\t}"),
			messages: [
				`keepalived.conf:8:2: error: VI_1: VRRPv3 has no PASS authentication
    authentication {
    ^^^^^^^^^^^^^^
    lost: authentication: adverts are neither signed nor checked
    leave out the block, or write "version 2"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "password too long",
			text: instance("\tauthentication {\n\t\tauth_type PASS\n\t\tauth_pass 123456789\n\t}"),
			messages: [
				`keepalived.conf:9:3: warning: VI_1: auth_pass has 9 bytes; only the first 8 are used
    auth_pass 123456789
    ^^^^^^^^^`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "a script that nobody defines",
			text: instance("\ttrack_script {\n\t\tchk\n\t}"),
			messages: [
				`keepalived.conf:8:3: error: VI_1: there is no vrrp_script chk
    chk
    ^^^
    lost: track_script chk`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a group with names that nobody defines",
			text: `${instance()}vrrp_sync_group G {\n\tgroup {\n\t\tVI_1\n\t\tVI_3\n\t}\n}\n`,
			messages: [
				`keepalived.conf:9:1: warning: sync group G has only VI_1: there is nothing to synchronise
    vrrp_sync_group G {
    ^^^^^^^^^^^^^^^`,
				`keepalived.conf:12:3: error: sync group G: there is no vrrp_instance VI_3
    VI_3
    ^^^^
    lost: VI_3 is in no group
    did you mean "VI_1"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		...(
			[
				["virtual_routes", "10.1.0.0/24 via", "route", "via"],
				["virtual_routes", "10.1.0.0/24 nexthop via 10.0.0.9 weight", "route", "weight"],
				["virtual_rules", "from 10.1.0.0/24 table", "rule", "table"],
			] as const
		).map(([block, line, what, option]) => ({
			title: `${what}: ${option} without its value: keepalived does not start`,
			text: instance(`\t${block} {\n\t\t${line}\n\t}`),
			messages: [
				`keepalived.conf:8:3: error: VI_1: ${what} "${line}": ${option} needs a value
    ${line}
    ${"^".repeat(line.length)}
    lost: the ${what}`,
			],
			acceptable: false,
			exitStatus: 2,
		})),
		{
			title: "a script that does not exist",
			text: `vrrp_script chk {\n\tscript /nonexistent/check\n}\n${instance("\ttrack_script {\n\t\tchk\n\t}")}`,
			messages: [
				`keepalived.conf:2:2: error: script: /nonexistent/check does not exist
    script /nonexistent/check
    ^^^^^^
    lost: script: the script never runs`,
				`keepalived.conf:11:3: error: VI_1: vrrp_script chk was dropped
    chk
    ^^^
    lost: track_script chk`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "no script security, and a script that nobody tracks: keepalived looks at it all the same",
			text: `vrrp_script chk {\n\tscript /bin/true\n}\n${instance()}`,
			messages: [
				`keepalived.conf:2:2: warning: scripts run, and enable_script_security is not set
    script /bin/true
    ^^^^^^
    write "enable_script_security" and "script_user NAME" into global_defs`,
			],
			acceptable: true,
			exitStatus: 6,
		},
		{
			title: "no script security, and a script without any instance",
			text: `vrrp_script chk {\n\tscript /bin/true\n}\n`,
			messages: [],
			acceptable: true,
			exitStatus: 0,
		},
		{
			title: "a script and no script security",
			text: `vrrp_script chk {\n\tscript /bin/true\n}\n${instance("\ttrack_script {\n\t\tchk\n\t}")}`,
			messages: [
				`keepalived.conf:2:2: warning: scripts run, and enable_script_security is not set
    script /bin/true
    ^^^^^^
    write "enable_script_security" and "script_user NAME" into global_defs`,
			],
			acceptable: true,
			exitStatus: 6,
		},
	],
	"virtual servers": [
		{
			title: "quorum and hysteresis",
			text: server("\tquorum 5\n\thysteresis 9"),
			messages: [
				`keepalived.conf:8:2: warning: virtual_server 10.0.0.1 80: quorum 5 is more than all real servers weigh (1); 1 is used
    quorum 5
    ^^^^^^`,
				`keepalived.conf:9:2: warning: virtual_server 10.0.0.1 80: hysteresis 9 must be less than the quorum 1; 0 is used
    hysteresis 9
    ^^^^^^^^^^`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "DR cannot change the port",
			text: server().replace("NAT", "DR").replace("10.0.1.2 80", "10.0.1.2 8080"),
			messages: [
				`keepalived.conf:5:2: warning: virtual_server 10.0.0.1 80: DR cannot change the port: 10.0.1.2 gets 80, not 8080
    real_server 10.0.1.2 8080 {
    ^^^^^^^^^^^`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "no protocol",
			text: server().replace("protocol TCP", "delay_loop 5"),
			messages: [
				`keepalived.conf:1:1: warning: virtual_server 10.0.0.1 80 has no protocol, so it serves UDP
    virtual_server 10.0.0.1 80 {
    ^^^^^^^^^^^^^^
    write "protocol TCP" for TCP`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "no real server",
			text: "virtual_server 10.0.0.1 80 {\n\tprotocol TCP\n\tlb_algo rr\n\tlb_kind NAT\n}\n",
			messages: [
				`keepalived.conf:1:1: error: virtual_server 10.0.0.1 80 has no real server
    virtual_server 10.0.0.1 80 {
    ^^^^^^^^^^^^^^
    lost: virtual_server 10.0.0.1 80: nothing is forwarded`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "the same twice",
			text: server() + server(),
			messages: [
				`keepalived.conf:10:1: error: virtual server TCP 10.0.0.1 80 is defined twice
    virtual_server 10.0.0.1 80 {
    ^^^^^^^^^^^^^^
    lost: one of the two: IPVS has one service for both`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "real server twice",
			text: server("\treal_server 10.0.1.2 80 {\n\t}"),
			messages: [
				`keepalived.conf:8:2: error: virtual_server 10.0.0.1 80: real server 10.0.1.2 80 stands twice
    real_server 10.0.1.2 80 {
    ^^^^^^^^^^^
    lost: the second one`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "real server twice, among others in no order",
			text: server(["9", "5", "9"].map((last) => `\treal_server 10.0.1.${last} 80 {\n\t}`).join("\n")),
			messages: [
				`keepalived.conf:12:2: error: virtual_server 10.0.0.1 80: real server 10.0.1.9 80 stands twice
    real_server 10.0.1.9 80 {
    ^^^^^^^^^^^
    lost: the second one`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "real server of the other family",
			text: server("\treal_server 2001:db8::2 80 {\n\t}"),
			messages: [
				`keepalived.conf:8:2: error: virtual_server 10.0.0.1 80: real server 2001:db8::2 is of the other address family
    real_server 2001:db8::2 80 {
    ^^^^^^^^^^^
    lost: the real server
    only TUN may mix IPv4 and IPv6`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a path without its slash",
			text: server("", "\t\tHTTP_GET {\n\t\t\turl {\n\t\t\t\tpath health\n\t\t\t}\n\t\t}"),
			messages: [
				`keepalived.conf:8:5: warning: HTTP_GET: path "health" does not begin with a slash
    path health
    ^^^^
    lost: most likely the check: web servers answer 400
    write "path /health"`,
			],
			acceptable: true,
			exitStatus: 0,
		},
		{
			title: "a check without url",
			text: server("", "\t\tHTTP_GET {\n\t\t}"),
			messages: [
				`keepalived.conf:6:3: error: real_server 10.0.1.2 80: HTTP_GET has no url
    HTTP_GET {
    ^^^^^^^^
    lost: the check: the server counts as alive
    write "url { path / }"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a group that nobody defines",
			text: server("", "", "group web"),
			messages: [
				`keepalived.conf:1:1: error: virtual_server group web: there is no virtual_server_group web
    virtual_server group web {
    ^^^^^^^^^^^^^^
    lost: the whole virtual server`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	text: [
		{
			title: "NUL bytes",
			text: new Uint8Array([103, 0, 1, 255, 10]),
			messages: [
				`keepalived.conf: error: the configuration is not text: it holds NUL bytes
    lost: everything`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "control characters do not reach the terminal",
			text: "\x01\x1b[31mred\n",
			messages: [
				`keepalived.conf:1:1: error: there is no keyword "\\x01\\x1b[31mred" at the outermost level
    \\x01\\x1b[31mred
    ^^^^^^^^^
    lost: this line`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "UTF-8 in comments and names",
			text: `# Größe ✓\nglobal_defs {\n\trouter_id Bürgermeister\n}\n${instance("# ü", "Übung")}`,
			messages: [],
			acceptable: true,
			exitStatus: 0,
		},
		{
			title: "blanks that are none",
			text: "global_defs {\n\u00a0\u00a0router_id A\n}\n",
			messages: [
				`keepalived.conf:2:1: error: the line begins with the character U+00A0, which looks like a blank and is none
      router_id A
    ^^^^^^^^^^^
    lost: this line
    replace it by ordinary spaces, in the whole file`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	"byte order marks": [
		{
			title:
				"in front of a block: keepalived would lose it, and takes its lines for ones of the outermost level",
			text: `\ufeffglobal_defs {\n\trouter_id A\n}\n${instance()}`,
			messages: [
				`keepalived.conf:1:1: warning: the file begins with a byte order mark, which keepalived takes for a part of the first word; it would lose this line, and what it opens
    \ufeffglobal_defs {
    ^
    save the file as UTF-8 without a byte order mark (BOM)`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "in a file that is Latin-1 further down",
			text: Buffer.concat([
				Buffer.from("\ufeffglobal_defs {\n\trouter_id A # "),
				Buffer.from([0xfc]),
				Buffer.from(`\n}\n${instance()}`),
			]),
			messages: [
				`keepalived.conf:1:1: warning: the file begins with a byte order mark, which keepalived takes for a part of the first word; it would lose this line, and what it opens
    \u00ef\u00bb\u00bfglobal_defs {
    ^^^
    save the file as UTF-8 without a byte order mark (BOM)`,
			],
			acceptable: true,
			exitStatus: 5,
		},
		{
			title: "further down, where two files were put together",
			text: `global_defs {\n\trouter_id A\n}\n\ufeff${instance()}`,
			messages: [
				`keepalived.conf:4:1: error: the line begins with a byte order mark (U+FEFF), which nobody sees, and which belongs to no word
    \ufeffvrrp_instance VI_1 {
    ^^^^^^^^^^^^^^
    lost: this line
    delete the line's beginning, and write it again`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "UTF-16",
			text: Buffer.from(`\ufeff${instance()}`, "utf16le"),
			messages: [
				`keepalived.conf: error: the configuration is in UTF-16: save it as UTF-8
    lost: everything`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	"what was meant": [
		{
			title: "the beginning of a word",
			text: instance("\tprio 100"),
			messages: [
				`keepalived.conf:7:2: error: there is no keyword "prio" in vrrp_instance VI_1
    prio 100
    ^^^^
    lost: this line
    did you mean "priority"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "the other half of a name",
			text: server("", "\t\tHTTP_CHECK {\n\t\t}"),
			messages: [
				`keepalived.conf:6:3: error: there is no keyword "HTTP_CHECK" in real_server 10.0.1.2 80
    HTTP_CHECK {
    ^^^^^^^^^^
    lost: the whole block; keepalived would lose the rest of real_server 10.0.1.2 80 as well, Drover reads on after it
    did you mean "HTTP_GET"?`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "an equals sign; what stands further left comes first",
			text: server("", "\t\tweight = 3"),
			messages: [
				`keepalived.conf:6:10: error: weight: "=" is not a whole number
    weight = 3
           ^
    lost: weight; its default holds: that of the virtual server
    write "weight 3"`,
				`keepalived.conf:6:12: warning: "3" after weight is not read
    weight = 3
             ^`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a prefix length after a blank",
			text: instance("", "VI_1", 51, "10.0.0.1 24"),
			messages: [
				`keepalived.conf:5:3: error: VI_1: 10.0.0.1: "24" is no option of an address
    10.0.0.1 24
    ^^^^^^^^^^^
    lost: the option; the address is kept
    write "10.0.0.1/24"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		...(
			[
				["real_server 10.0.1.3:80", '"10.0.1.3:80" is no IP address', 'write "10.0.1.3 80"'],
				["real_server [fd00::1]:80", '"[fd00::1]:80" is no IP address', 'write "fd00::1 80"'],
				["real_server web1 80", '"web1" is no IP address', "write an IP address: names are not looked up"],
				["real_server 10.0.1.3 http", '"http" is no port', "write a number from 0 to 65535"],
			] as const
		).map(
			([head, why, meant]): Case => ({
				title: head,
				text: server(`\t${head} {\n\t}`),
				messages: [
					`keepalived.conf:8:2: error: virtual_server 10.0.0.1 80: ${why}
    ${head} {
    ^^^^^^^^^^^
    lost: the real server
    ${meant}`,
				],
				acceptable: false,
				exitStatus: 5,
			}),
		),
		{
			title: "virtual_server ADDRESS:PORT",
			text: server("", "", "10.0.0.1:80"),
			messages: [
				`keepalived.conf:1:1: error: virtual_server 10.0.0.1:80: "10.0.0.1:80" is no IP address, fwmark or group
    virtual_server 10.0.0.1:80 {
    ^^^^^^^^^^^^^^
    lost: the whole virtual server
    write "10.0.0.1 80"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "sorry_server ADDRESS:PORT",
			text: server("\tsorry_server 10.0.0.9:80"),
			messages: [
				`keepalived.conf:8:2: error: virtual_server 10.0.0.1 80: "10.0.0.9:80" is no address and port
    sorry_server 10.0.0.9:80
    ^^^^^^^^^^^^
    lost: sorry_server
    write "10.0.0.9 80"`,
			],
			acceptable: false,
			exitStatus: 5,
		},
		{
			title: "a member of a group whose instance is lost: the cause is the error",
			text: `${instance().replace("virtual_router_id 51", "virtual_router_id 300")}${instance("", "VI_2", 52, "10.0.0.2")}vrrp_sync_group G {\n\tgroup {\n\t\tVI_1\n\t\tVI_2\n\t}\n}\n`,
			messages: [
				`keepalived.conf:1:1: error: VI_1: virtual_router_id is missing
    vrrp_instance VI_1 {
    ^^^^^^^^^^^^^
    lost: the whole instance VI_1, and its addresses
    write "virtual_router_id N", a number from 1 to 255 that all its routers share`,
				`keepalived.conf:3:20: error: virtual_router_id: 300 is out of range: 1 to 255
    virtual_router_id 300
                      ^^^
    lost: virtual_router_id`,
				`keepalived.conf:19:3: warning: sync group G: vrrp_instance VI_1 is lost: see line 1
    VI_1
    ^^^^`,
			],
			acceptable: false,
			exitStatus: 5,
		},
	],
	"not in effect": [
		{
			title: "said once",
			text: "global_defs {\n\tenable_dbus\n}\n",
			messages: [
				`keepalived.conf:2:2: warning: enable_dbus has no effect: Drover has no D-Bus; \`drover status\` and scripts, pipes and SNMP tell the same
    enable_dbus
    ^^^^^^^^^^^
    lost: D-Bus interface`,
			],
			acceptable: true,
			exitStatus: 0,
		},
	],
};

test("in a line: the first error, what to do about it, and that there are others", () => {
	const problem = (text: string) => problemOf(loadText(text).diagnostics).replace(/^\S*\//, "");
	const one =
		'keepalived.conf:7:2: there is no keyword "prio" in vrrp_instance VI_1; did you mean "priority"?';
	expect(problem(instance("\tprio 100"))).toBe(one);
	expect(problem(instance("\tprio 100\n\tpriority 300"))).toBe(
		`${one} (and 1 more error: drover config check shows all)`,
	);
});

for (const [section, cases] of Object.entries(sections))
	describe(section, () => {
		test.each([...cases])("$title", ({ text, messages, acceptable, exitStatus }) => {
			const loaded = loadText(text);
			expect(findings(loaded)).toEqual([...messages]);
			expect({ acceptable: loaded.acceptable, exitStatus: Number(loaded.exitStatus) }).toEqual({
				acceptable,
				exitStatus,
			});
		});
	});
