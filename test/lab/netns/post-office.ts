/** A real SMTP server for tests: takes every letter, and keeps it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, type Namespace } from "./network.ts";

/** Python's: takes everything and writes sender, recipients and text to a file, a letter a line. */
const SERVER = `
import asyncore, json, smtpd, sys
class Server(smtpd.SMTPServer):
    def process_message(self, peer, sender, recipients, data, **rest):
        letter = {"sender": sender, "recipients": recipients, "text": data.decode()}
        with open(sys.argv[1], "a") as file:
            file.write(json.dumps(letter) + "\\n")
Server((sys.argv[2], 2525), None)
asyncore.loop()
`;

export interface Letter {
	readonly sender: string;
	readonly recipients: readonly string[];
	readonly text: string;
}

/** Opens it at `address` port 2525 in `namespace`; answers what has arrived so far, in order. */
export async function openPostOffice(
	namespace: Namespace,
	address: string,
	folder: string,
): Promise<() => readonly Letter[]> {
	const file = join(folder, "letters");
	namespace.spawn(["python3", "-W", "ignore", "-c", SERVER, file, address], { stdout: "ignore" });
	await eventually("the post office is open", () => namespace.run("ss", "-ltn").includes(":2525"));
	return () => {
		try {
			// The last line may still be being written.
			return readFileSync(file, "utf8")
				.split("\n")
				.slice(0, -1)
				.map((line) => JSON.parse(line) as Letter);
		} catch {
			return [];
		}
	};
}
