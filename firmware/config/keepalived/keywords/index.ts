/** Every block's keywords. */
import {
	bfdCheck,
	dnsCheck,
	fileCheck,
	httpGet,
	httpUrl,
	miscCheck,
	pingCheck,
	smtpCheck,
	smtpHost,
	sslGet,
	sslUrl,
	tcpCheck,
	udpCheck,
} from "./checks.ts";
import { globalDefs } from "./global.ts";
import { type BlockGrammar, type BlockName, KeywordIndex } from "./grammar.ts";
import { garpGroup, root, ssl, trackGroup } from "./root.ts";
import { realServer, virtualServer } from "./servers.ts";
import { bfdInstance, trackFile, vrrpScript, vrrpTrackProcess } from "./trackers.ts";
import { authentication, authHmac, vrrpInstance, vrrpSyncGroup } from "./vrrp.ts";

const tables: Readonly<Record<BlockName, () => BlockGrammar>> = {
	root,
	global_defs: globalDefs,
	SSL: ssl,
	track_group: trackGroup,
	garp_group: garpGroup,
	vrrp_sync_group: vrrpSyncGroup,
	vrrp_instance: vrrpInstance,
	authentication,
	auth_hmac: authHmac,
	vrrp_script: vrrpScript,
	vrrp_track_process: vrrpTrackProcess,
	track_file: trackFile,
	bfd_instance: bfdInstance,
	virtual_server: virtualServer,
	real_server: realServer,
	TCP_CHECK: tcpCheck,
	PING_CHECK: pingCheck,
	UDP_CHECK: udpCheck,
	DNS_CHECK: dnsCheck,
	SMTP_CHECK: smtpCheck,
	host: smtpHost,
	HTTP_GET: httpGet,
	SSL_GET: sslGet,
	"HTTP_GET/url": httpUrl,
	"SSL_GET/url": sslUrl,
	MISC_CHECK: miscCheck,
	FILE_CHECK: fileCheck,
	BFD_CHECK: bfdCheck,
};

export const grammars = {} as Readonly<Record<BlockName, BlockGrammar>>;
for (const [block, get] of Object.entries(tables))
	Object.defineProperty(grammars, block, { get, enumerable: true });

const indexes = new Map<BlockName, KeywordIndex>();

/** The same tables, for the reader's inner loop; one that no file needs is not made. */
export function keywordIndexOf(block: BlockName): KeywordIndex {
	let index = indexes.get(block);
	if (index === undefined) {
		index = new KeywordIndex(tables[block]());
		indexes.set(block, index);
	}
	return index;
}
