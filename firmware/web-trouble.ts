/** Why a server on the web was not reached, in the operator's words; Bun's own advise to look at the URL in a browser. Pure. */

export function webTrouble(url: string, error: NodeJS.ErrnoException): Error {
	const { host, hostname } = new URL(url);
	switch (error.code) {
		case "ECONNREFUSED":
		case "ConnectionRefused":
			return new Error(`${host} refuses the connection: no server listens there`);
		case "ENOTFOUND":
		case "EAI_AGAIN":
			return new Error(`there is no host ${hostname}, or no name server that knows it answers`);
		case "ECONNRESET":
			return new Error(`${host} ended the connection too early`);
		case "ETIMEDOUT":
			return new Error(`${host} does not answer`);
		case "ERR_TLS_CERT_ALTNAME_INVALID":
			return new Error(`the certificate of ${host} is for another name than ${hostname}`);
		case "CERT_HAS_EXPIRED":
			return new Error(`the certificate of ${host} has expired, or this box's clock is wrong`);
		case "CERT_NOT_YET_VALID":
			return new Error(`the certificate of ${host} is not valid yet: this box's clock may be wrong`);
		case "DEPTH_ZERO_SELF_SIGNED_CERT":
		case "SELF_SIGNED_CERT_IN_CHAIN":
		case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
		case "UNABLE_TO_GET_ISSUER_CERT":
		case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
			return new Error(`the certificate of ${host} is signed by nobody known here (${error.message})`);
		case undefined:
			return error;
		default:
			return new Error(`the connection to ${host} failed: ${error.message}`);
	}
}
