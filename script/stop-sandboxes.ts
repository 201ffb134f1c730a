/**
 * Stops every sandbox that runs, in order, through the unix socket of the API, and says how many there were: what the package does before it is
 * removed. Needs nothing but Node. Exits with 1 when some could not be stopped.
 * usage: node stop-sandboxes.ts [SOCKET]
 */
import { request } from "node:http";

const socketPath = process.argv[2] ?? process.env["UNSHARED_SOCKET"] ?? "/run/unshared/unshared.sock";
const graceSeconds = 5;

interface Page {
  items: { id: string; name: string | null; status: { state: string } }[];
  nextCursor: string | null;
}

const call = (method: string, path: string, body?: object): Promise<{ status: number; text: string }> =>
  new Promise((done, failed) => {
    const headers = { host: "localhost", ...(body && { "content-type": "application/json" }) };
    const asked = request({ socketPath, method, path: `/v1${path}`, headers }, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      done({ status: response.statusCode ?? 0, text });
    });
    asked.once("error", failed);
    asked.end(body && JSON.stringify(body));
  });

const running: Page["items"] = [];
let cursor: string | null = "";
while (cursor !== null) {
  const { status, text } = await call("GET", `/sandboxes?limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
  if (status !== 200) throw new Error(`the daemon does not list its sandboxes: ${status} ${text}`);
  const page = JSON.parse(text) as Page;
  running.push(...page.items.filter(({ status: { state } }) => !["created", "stopped", "failed"].includes(state)));
  cursor = page.nextCursor;
}
const replies = await Promise.all(running.map(({ id }) => call("POST", `/sandboxes/${id}/stop`, { graceSeconds })));
const refused = replies.filter(({ status }) => status >= 400);
for (const { text } of refused) process.stderr.write(`not stopped: ${text}\n`);
process.stdout.write(`stopped ${running.length - refused.length} of ${running.length} sandboxes\n`);
process.exitCode = refused.length === 0 ? 0 : 1;
