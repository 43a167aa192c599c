/** A web server of the lab: says its name to everyone. Run as a program of its own: web-server.ts NAME PORT. */
const [name = "web", port = "80"] = process.argv.slice(2);

Bun.serve({
	port: Number(port),
	hostname: "::",
	fetch(request) {
		const { pathname, searchParams } = new URL(request.url);
		if (pathname === "/slow") return slow(Number(searchParams.get("seconds") ?? "5"));
		return new Response(`${name}\n`, { headers: { Connection: "close" } });
	},
});
console.log("ready");

/** A line every 100 ms, to see whether a connection lives. */
function slow(seconds: number): Response {
	let left = seconds * 10;
	const body = new ReadableStream({
		async pull(controller) {
			if (left-- <= 0) return controller.close();
			controller.enqueue(new TextEncoder().encode(`${name}\n`));
			await Bun.sleep(100);
		},
	});
	return new Response(body, { headers: { Connection: "close" } });
}
