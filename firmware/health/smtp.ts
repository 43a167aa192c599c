/** SMTP_CHECK: greeting 220, HELO answered with 250, QUIT answered. RFC 5321 §3.1, §4.1.1. */
import { type Checker, failed, type Outcome, passed, postponed } from "./checker.ts";
import { type SmtpReply, SmtpReplyError, SmtpReplyReader } from "./smtp-reply.ts";
import { TcpStream } from "./stream.ts";

export const checkSmtp: Checker<"SMTP_CHECK"> = (check, _url, environment, done) => {
	const reader = new SmtpReplyReader();
	let state: "greeting" | "helo" | "quit" = "greeting";
	const finish = (outcome: Outcome) => {
		stream.close();
		done(outcome);
	};
	const say = (line: string) => stream.write(new TextEncoder().encode(`${line}\r\n`));
	const take = (reply: SmtpReply): Outcome | null => {
		switch (state) {
			case "greeting":
				if (reply.code !== 220) return failed(`greeted with ${reply.code} ${printable(reply.text)}`);
				state = "helo";
				say(`HELO ${check.heloName}`);
				return null;
			case "helo":
				if (reply.code !== 250) return failed(`HELO answered with ${reply.code} ${printable(reply.text)}`);
				state = "quit";
				say("QUIT");
				return null;
			case "quit":
				return passed("SMTP 220, 250");
		}
	};
	const stream = new TcpStream(check.target, false, environment, {
		opening: null,
		received(bytes) {
			try {
				let answers = 0;
				for (const reply of reader.push(bytes)) {
					// What came together with the last answer was sent before this box had asked.
					const outcome =
						answers++ > 0 ? failed(`answered ${state.toUpperCase()} before it was asked`) : take(reply);
					if (outcome !== null) {
						finish(outcome);
						return;
					}
				}
			} catch (error) {
				if (!(error instanceof SmtpReplyError)) throw error;
				finish(failed(error.message));
			}
		},
		ended: () =>
			finish(
				failed(state === "quit" ? "closed before QUIT was answered" : `closed before the ${state} reply`),
			),
		failed: (detail) => finish(failed(detail)),
		postponed: (detail) => finish(postponed(detail)),
	});
	return () => stream.close();
};

function printable(text: string): string {
	return text.slice(0, 60).replace(/[^\x20-\x7e]/g, ".");
}
