/** Programs that draw on the whole screen, driven as by a person: an editor and a pager of the host's, in a root of their own. */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { TerminalClient } from "../fixtures/terminal-client.ts";

const terminfo = ["/lib/terminfo/x/xterm-256color", "/usr/share/terminfo/x/xterm-256color"].find((path) => existsSync(path)) ?? "";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("screen", 1_770_000_000);
  const source = { kind: "copy", binaries: ["/bin/bash", "/usr/bin/vi", "/usr/bin/less"], files: [terminfo] };
  expect((await host.request("POST", "/v1/roots?wait=true", { name: "screen", source })).status).toBe(201);
  await host.run({ name: "box", root: "screen" });
});
afterAll(() => host[Symbol.asyncDispose]());

const start = async (command: string[]): Promise<{ id: string; view: TerminalClient }> => {
  const { body, status, text } = await host.request("POST", "/v1/sandboxes/box/processes", { command, tty: true });
  expect(status, text).toBe(201);
  const path = `/v1/sandboxes/box/processes/${body.id}/resize`;
  expect((await host.request("POST", path, { rows: 24, columns: 80 })).status).toBe(200);
  return { id: body.id, view: await TerminalClient.open(host, "box", body.id) };
};
const ended = async (id: string) => (await host.request("GET", `/v1/sandboxes/box/processes/${id}?wait=10`)).body.exit;

it("vi edits a file, which is then there", { timeout: 60_000 }, async () => {
  const { id, view } = await start(["vi", "-u", "NONE", "/letter"]);
  await view.shows(/letter/, 0, 20_000);
  view.type("ifirst line\rsecond ünïcode\x1b");
  await view.shows(/second/, 0, 20_000);
  view.type("1Gdd");
  view.type(":wq\r");
  expect(await ended(id)).toMatchObject({ reason: "exited", code: 0 });
  const main = (await host.report("box")).process.pid;
  await until("the file", () => existsSync(`/proc/${main}/root/letter`));
  expect(readFileSync(`/proc/${main}/root/letter`, "utf8")).toBe("second ünïcode\n");
});

it("less shows a page after the other, searches, and is left by q", { timeout: 60_000 }, async () => {
  const lines = Array.from({ length: 500 }, (_, index) => `line ${index + 1} of it\n`).join("");
  expect((await host.request("PUT", "/v1/sandboxes/box/files?path=/long", Buffer.from(lines))).status).toBeLessThan(300);
  const { id, view } = await start(["less", "/long"]);
  await view.shows(/line 1 of it[\s\S]*line 23 of it/, 0, 20_000);
  expect(view.text).not.toContain("line 60 of it");
  view.type(" ");
  await view.shows(/line 40 of it/, 0, 20_000);
  const from = view.text.length;
  view.type("/line 333\r");
  // It is drawn anew from the line that was found.
  await view.shows(/340 of it/, from, 20_000);
  view.type("q");
  expect(await ended(id)).toMatchObject({ reason: "exited", code: 0 });
});
