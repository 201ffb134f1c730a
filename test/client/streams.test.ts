/** Streams of the client over losses of the daemon: each record once, in order, to the end. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, connect, GapError, type Sandbox } from "../../client/index.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
let client: Client;
beforeAll(async () => {
  host = await SandboxDaemon.start("client-streams", 1_950_000_000);
  // A daemon may be long in coming back on a machine that is loaded.
  client = connect({ socket: host.daemon.socket, retries: { attempts: 60, longestSeconds: 0.5 } });
});
afterAll(async () => {
  client.close();
  await host[Symbol.asyncDispose]();
});

const count = 40;
/** Waits to be told after each tenth line, so that it cannot be over before the daemon was lost. */
const counter = ["/bin/bash", "-c", `for i in {1..${count}}; do echo line $i; [ $((i % 10)) = 0 ] && read; done; exit 6`];
const lines = Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("");

/** Reads output, logs and events of a sandbox at once, each into what is returned. */
const readAll = (sandbox: Sandbox) => {
  const seen = { output: "", exits: [] as unknown[], logs: "", events: [] as string[] };
  const output = async () => {
    for await (const record of sandbox.process().output()) {
      if ("exit" in record) seen.exits.push(record.exit);
      else seen.output += record.text;
    }
  };
  const logs = async () => {
    for await (const entry of sandbox.logs()) seen.logs += entry.text;
  };
  const events = async () => {
    for await (const { type = "" } of sandbox.events()) {
      seen.events.push(type);
      if (type === "sandbox.stopped") break;
    }
  };
  return { seen, ended: Promise.all([output(), logs(), events()]) };
};

describe.each(["SIGKILL", "SIGTERM"] as const)("when the daemon is ended by %s in the middle and started again", (signal) => {
  it("output, logs and events go on, each record once, and a request sent meanwhile is answered", async () => {
    await using sandbox = await client.sandboxes.create({ command: counter });
    const { seen, ended } = readAll(sandbox);
    const reached = (line: number) => seen.output.includes(`line ${line}\n`) && seen.logs.includes(`line ${line}\n`);
    await until("the first lines", () => reached(10) && seen.events.includes("sandbox.running"), 20_000);
    await host.daemon.end(signal);
    const asked = client.sandboxes.create({ labels: { asked: signal } });
    await host.daemon.start();
    await using other = await asked;
    expect(other.report.status.state).toBe("running");
    expect(await Array.fromAsync(client.sandboxes.list({ labels: { asked: signal } }))).toHaveLength(1);
    for (const line of [10, 20, 30, 40]) {
      await until(`line ${line}`, () => reached(line), 20_000);
      await sandbox.process().write("\n");
    }
    await ended;
    expect([seen.output, seen.logs]).toEqual([lines, lines]);
    expect(seen.exits).toMatchObject([{ reason: "exited", code: 6 }]);
    expect(new Set(seen.events).size).toBe(seen.events.length);
    expect(seen.events.filter((type) => /\.(created|running|stopped)$/.test(type))).toEqual([
      "sandbox.created",
      "sandbox.running",
      "sandbox.stopped",
    ]);
  });
});

describe("output that is held no more", () => {
  const flood = ["/bin/bash", "-c", 'for i in {1..60}; do printf "%2000d\\n" $i; done; exec sleep 1000'];
  it("is an error, or is skipped where that is asked for", async () => {
    await using sandbox = await client.sandboxes.create();
    const process = await sandbox.spawn(flood, { outputBytes: 4096 });
    const reading = async (gaps: "error" | "skip") => {
      let last = "";
      for await (const record of process.output({ gaps })) {
        if (!("exit" in record)) last = record.text.trimEnd().slice(-5).trim();
        if (last === "60") return last;
      }
      return last;
    };
    expect(await reading("skip")).toBe("60");
    await expect(reading("error")).rejects.toBeInstanceOf(GapError);
  });
});
