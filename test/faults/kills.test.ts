/**
 * The daemon is killed with -9 at random moments while clients create, use, stop and delete, and is started anew. Each time database, processes, cgroups, sockets,
 * mounts and files agree, and what was acknowledged is so.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

/** 200 with UNSHARED_TEST_LONG=1. */
const kills = process.env["UNSHARED_TEST_LONG"] === "1" ? 200 : 4;
const clients = 6;
const patience = 30_000;

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("kills", 1_400_000_000, "--ready-shells", "0");
  await host.run({ name: "first" });
  await host.clear();
});
afterAll(() => host[Symbol.asyncDispose]());

/** What may be: the state that was acknowledged last, and those that the order under way leads to; null: there is none. */
type Known = Map<string, (string | null)[]>;

const isOff = (error: unknown): boolean => (error as { code?: string }).code !== undefined;

/** One client: one sandbox after the other, through its life, until the daemon is off. */
const live = async (client: number, round: number, known: Known): Promise<number> => {
  let done = 0;
  for (let n = 0; ; n += 1) {
    const name = `c${client}-${round}-${n}`;
    const path = `/v1/sandboxes/${name}`;
    const steps: [string, string, object | undefined, string | null, (string | null)[]][] = [
      ["POST", "/v1/sandboxes?start=true", { name }, "running", [null, "running", "failed"]],
      ["POST", `${path}/processes?wait=true`, { command: ["true"] }, "running", ["running"]],
      ["POST", `${path}/stop`, { graceSeconds: 0 }, "stopped", ["running", "stopped"]],
      ["POST", `${path}/start`, {}, "running", ["stopped", "running", "failed"]],
      ["DELETE", path, undefined, null, ["running", "stopped", null]],
    ];
    // Some are left as they are.
    for (const [method, target, body, after, meanwhile] of steps.slice(0, 1 + ((n + client + round) % steps.length))) {
      known.set(name, meanwhile);
      try {
        const { status, text } = await host.request(method, target, body);
        expect(status, `${method} ${target}: ${text}`).toBeLessThan(300);
      } catch (error) {
        if (isOff(error)) return done;
        throw error;
      }
      known.set(name, [after]);
      done += 1;
    }
  }
};

const verify = async (known: Known): Promise<void> => {
  const { items } = await until(
    "all at rest",
    async () => {
      const { body } = await host.request("GET", "/v1/sandboxes?limit=1000");
      return body.items.every(({ status }: { status: { state: string } }) => !["starting", "stopping"].includes(status.state)) && body;
    },
    patience,
  );
  expect((await host.request("GET", "/v1/info")).body.recovery.problems).toEqual([]);
  const states = new Map<string, string>(items.map((each: { name: string; status: { state: string } }) => [each.name, each.status.state]));
  for (const [name, allowed] of known)
    expect([name, allowed.includes(states.get(name) ?? null), states.get(name)]).toEqual([name, true, states.get(name)]);
  const running = items.filter(({ process: main }: { process: object | null }) => main !== null);
  for (const { name, process: main } of running) expect([name, isAlive(main.pid)]).toEqual([name, true]);
  const idsOf = (list: { id: string }[]) => list.map(({ id }) => id).sort();
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes")).sort()).toEqual(idsOf(running).map((id) => `${id}.sock`));
  const ids = idsOf(items);
  for (const id of readdirSync(join(host.daemon.stateDir, "sandboxes"))) expect(ids).toContain(id);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(host.daemon.directory);
  const trees = new Set(host.cgroups().filter((path) => path.endsWith(host.cgroupParent)));
  // Supervisor, init and command of each, and the launcher; one cgroup of each in every hierarchy.
  await until(
    "no process or cgroup more than those of what runs",
    () =>
      host.processes().length === 1 + 3 * running.length &&
      host.cgroups().filter((path) => /\/\d+$/.test(path)).length === trees.size * running.length,
    patience,
  );
};

it(`heals after ${kills} kills under load (check 65)`, { timeout: kills * 20_000 }, async () => {
  let done = 0;
  for (let round = 0; round < kills; round += 1) {
    const known: Known = new Map();
    const lives = Array.from({ length: clients }, (_, client) => live(client, round, known));
    const moment = 100 + Math.random() * 900;
    const settled = Promise.allSettled(lives);
    await sleep(moment);
    await host.daemon.end("SIGKILL");
    for (const life of await settled) {
      if (life.status === "rejected") throw life.reason;
      done += life.value;
    }
    await host.daemon.start();
    await verify(known).catch((error: Error) => {
      throw new Error(`round ${round}, killed after ${moment} ms: ${error.message}`, { cause: error });
    });
    await host.clear();
  }
  expect(done).toBeGreaterThan(kills);
});
