/** Lives of sandboxes with calls of every kind, side by side: afterwards the host and the daemon hold no more than before. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fingerprint } from "../fixtures/fingerprint.ts";
import { statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { TerminalClient } from "../fixtures/terminal-client.ts";

/** 1,000 with UNSHARED_TEST_LONG=1, some three minutes. */
const cycles = process.env["UNSHARED_TEST_LONG"] === "1" ? 1_000 : 40;
const parallel = 4;
/** By then the daemon's heap has its level. */
const warming = Math.max(20, cycles / 2);

let host: SandboxDaemon;
beforeAll(async () => {
  // Prepared shells come and go with pids and cgroups of their own; without them what is left can be compared exactly.
  host = await SandboxDaemon.start("soak", 1_197_000_000, "--ready-shells", "0");
});
afterAll(() => host[Symbol.asyncDispose]());

const ask = async (method: string, path: string, status: number, body?: unknown) => {
  const reply = await host.request(method, path, body);
  if (reply.status !== status) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
  return reply.body;
};
const bash = (script: string) => ({ command: ["/bin/bash", "-c", script] });

const look = async (id: string): Promise<void> => {
  await ask("GET", `/v1/sandboxes/${id}`, 200);
  await ask("GET", `/v1/sandboxes/${id}/namespaces`, 200);
  await ask("GET", `/v1/sandboxes/${id}/stats`, 200);
  await ask("GET", `/v1/sandboxes/${id}/processes?all=true`, 200);
  await ask("GET", "/metrics", 200);
};

/** Each of these leaves the sandbox running. */
const acts: readonly ((id: string, number: number) => Promise<void>)[] = [
  async (id) => {
    const done = await ask("POST", `/v1/sandboxes/${id}/processes?wait=true`, 201, bash("echo out; echo err >&2; exit 3"));
    expect([done.exit.code, done.output.stdout.data]).toEqual([3, "out\n"]);
    await ask("GET", `/v1/sandboxes/${id}/processes/${done.id}/output`, 200);
    await ask("GET", `/v1/sandboxes/${id}/logs?tail=5`, 200);
  },
  async (id, number) => {
    const path = `/v1/sandboxes/${id}/files?path=/soak/${number}`;
    await ask("PUT", `${path}&parents=true`, 201, Buffer.alloc(100_000, "x"));
    expect((await host.request("GET", path)).text.length).toBe(100_000);
    await ask("DELETE", `/v1/sandboxes/${id}/files?path=/soak&recursive=true`, 204);
  },
  async (id) => {
    await ask("POST", `/v1/sandboxes/${id}/pause`, 200, {});
    await ask("POST", `/v1/sandboxes/${id}/resume`, 200, {});
    await ask("PATCH", `/v1/sandboxes/${id}`, 200, { limits: { pids: 99 }, lifetime: { ttlSeconds: 600 }, labels: { a: "b" } });
  },
  async (id) => {
    const { id: shell } = await ask("POST", `/v1/sandboxes/${id}/processes`, 201, { command: ["/bin/bash"], tty: true });
    const client = await TerminalClient.open(host, id, shell);
    client.type("echo $((20 + 3))\r");
    await client.shows(/^23/m, 0, 20_000);
    client.close();
  },
  async (id) => {
    const operation = await ask("POST", `/v1/sandboxes/${id}/restart?wait=0`, 202, { graceSeconds: 0 });
    expect((await ask("GET", `/v1/operations/${operation.id}?wait=60`, 200)).state).toBe("succeeded");
  },
  async (id) => {
    await ask("POST", `/v1/sandboxes/${id}/stop`, 200, { graceSeconds: 0 });
    await ask("GET", `/v1/sandboxes/${id}/files?path=/etc&stat=true`, 200);
    await ask("GET", `/v1/sandboxes/${id}/receipt`, 200);
    await ask("POST", `/v1/sandboxes/${id}/start`, 200, {});
  },
  async () => {
    expect((await ask("POST", "/v1/runs?wait=60", 200, bash("echo done"))).exit.code).toBe(0);
    await ask("POST", "/v1/sandboxes?start=true", 422, { command: ["/bin/nope"] });
    await ask("POST", "/v1/sandboxes?start=true", 400, { colour: "red" });
  },
];

const cycle = async (number: number): Promise<void> => {
  const { id } = await host.run({ name: `soak-${number}` });
  await look(id);
  // Each act meets each other as its neighbour in some cycle.
  for (const step of [0, 1, 3]) await acts[(number + step) % acts.length]?.(id, number);
  expect(await ask("DELETE", `/v1/sandboxes/${id}`, 200)).toMatchObject({ complete: true, remaining: [] });
};

let next = 0;
const run = (count: number) => {
  const end = next + count;
  return Promise.all(
    Array.from({ length: parallel }, async () => {
      while (next < end) await cycle(next++);
    }),
  );
};

/** Rows of what should be gone with the sandboxes; what is told of the past stays for its time. */
const rows = (): Record<string, number> => {
  const database = new SQLite(join(host.daemon.stateDir, "state.db"), { readonly: true });
  const count = (what: string) => (database.prepare(`SELECT count(*) AS n FROM ${what}`).get() as { n: number }).n;
  const found = {
    sandboxes: count("sandboxes"),
    processes: count("processes"),
    running: count("operations WHERE state = 'running'"),
    unfinished: count("runs WHERE ended_at IS NULL"),
    keys: count("idempotency_keys"),
  };
  database.close();
  return found;
};
const measured = async () =>
  [host.daemon.pid, await host.launcherPid()].map((pid) => ({
    pid,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: Number(statusLine(pid, "Threads")),
    resident: Number.parseInt(statusLine(pid, "VmRSS"), 10),
  }));

it(`${cycles} lives with mixed calls leave no descriptor, thread, mount, cgroup, process, file or row, and no memory (check 72)`, {
  timeout: 900_000,
}, async () => {
  await run(warming);
  await until("only the launcher", () => host.processes().length === 1, 20_000);
  const [before, base] = [fingerprint(host), await measured()];
  expect(rows()).toEqual({ sandboxes: 0, processes: 0, running: 0, unfinished: 0, keys: 0 });
  await run(cycles);
  await until("only the launcher", () => host.processes().length === 1, 20_000);
  expect(fingerprint(host)).toBe(before);
  expect(rows()).toEqual({ sandboxes: 0, processes: 0, running: 0, unfinished: 0, keys: 0 });
  for (const [index, was] of base.entries()) {
    const now = async () => (await measured())[index] ?? was;
    await until(
      `descriptors of ${was.pid} as before: ${was.descriptors}`,
      async () => (await now()).descriptors <= was.descriptors,
      20_000,
    );
    expect((await now()).threads).toBe(was.threads);
    // A heap breathes, and gives back when it has rested; the launcher has none to speak of.
    const most = was.resident + (index === 0 ? 24_576 : 512);
    await until(`at most ${most} KiB of ${was.pid}`, async () => (await now()).resident < most, 60_000);
  }
});
