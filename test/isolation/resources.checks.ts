import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { slowness } from "../fixtures/slowness.ts";
import type { Check } from "./check.ts";
import { type Outcomes, outcomesOf, type Stage } from "./stage.ts";

export const resourcesChecks: Check[] = [
  {
    number: 36,
    title: "a fork bomb comes to its limit; the API answers within a second, the kill within two, and nothing is left",
    red: ["no-limits"],
    async run(stage) {
      // The bound of its own is for the mutant without limits: then it comes to that one.
      const bomb = "ulimit -u 200; :(){ :|:& };: ; sleep infinity";
      const report = await stage.sandbox({ name: "bomb", command: ["/bin/bash", "-c", bomb], limits: { pids: 64 } });
      let most = 0;
      let slowest = 0;
      try {
        await until("the limit", () => stage.host.pidsInside(report).length >= 60, 20_000);
        for (let round = 0; round < 20; round += 1) {
          const began = performance.now();
          expect((await stage.host.request("GET", "/v1/sandboxes/bomb")).status).toBe(200);
          slowest = Math.max(slowest, performance.now() - began);
          most = Math.max(most, stage.host.pidsInside(report).length);
        }
        expect(most).toBeLessThanOrEqual(64);
        expect(slowest).toBeLessThan(1_000 * slowness);
        const inside = stage.host.pidsInside(report);
        const began = performance.now();
        expect((await stage.host.request("POST", "/v1/sandboxes/bomb/kill", {})).status).toBe(200);
        const killed = performance.now() - began;
        expect(killed).toBeLessThan(2_000 * slowness);
        expect(inside.filter(isAlive)).toEqual([]);
        return `${most} processes, API ${Math.round(slowest)} ms, kill ${Math.round(killed)} ms`;
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/bomb");
      }
    },
  },
  {
    number: 37,
    title: "who takes more memory than the limit dies of it, and is told so; daemon, supervisor and another sandbox do not notice",
    red: ["no-limits"],
    run: (stage) => takeMemory(stage, ["heap"]),
  },
  {
    number: 38,
    title: "memory taken by way of tmpfs, memfd, pipes and sockets counts as well",
    red: ["no-limits"],
    run: (stage) => takeMemory(stage, ["tmpfs", "memfd", "pipes", "sockets"]),
  },
  {
    number: 41,
    title: "descriptors, open or on their way in sockets, come to the sandbox's own limit; the host has as many left as before",
    red: ["no-limits"],
    async run(stage) {
      const handles = () => readFileSync("/proc/sys/fs/file-nr", "utf8").split("\t").map(Number);
      const sandbox = await stage.sandbox({ name: "descriptors", command: ["/bin/sleep", "1000"], limits: { openFiles: 256 } });
      try {
        const outcomes: Outcomes[] = [];
        for (const way of ["exec", "terminal"] as const)
          outcomes.push(outcomesOf(await stage.output(way, ["/probes/limits", "5000"], "descriptors")));
        for (const { opened, "under way": sent, "raise the limit": raised } of outcomes) {
          expect(Number(opened)).toBeLessThan(256);
          expect(Number(sent)).toBeLessThanOrEqual(256 + 200); // unix(7): ETOOMANYREFS beyond RLIMIT_NOFILE
          expect(raised).toBe("EPERM");
        }
        const [used = 0, , most = 0] = handles();
        expect(used).toBeLessThan(most / 2);
        expect(sandbox.status.state).toBe("running");
        return `${outcomes[0]?.["opened"]} open, ${outcomes[0]?.["under way"]} under way`;
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/descriptors");
      }
    },
  },
  {
    number: 45,
    title: "a crash leaves no core and starts no program of the host: the limit is 1, and nothing changes it",
    red: ["no-limits"],
    async run(stage) {
      await stage.everywhere(["limits", "1"], (found, way) =>
        expect(found, way).toMatchObject({
          core: "1 1",
          setrlimit: "ok",
          prlimit64: "ok",
          "prlimit64 with the old one": "EPERM",
          "prlimit64 that only asks": "ok",
          "core afterwards": "1 1",
        }),
      );
      return undefined;
    },
  },
];

/** Each kind in a sandbox with a limit that is lower than what is taken; what is taken has a bound where there is no limit. */
const takeMemory = async (stage: Stage, kinds: readonly string[]): Promise<string> => {
  const before = [stage.host.daemon.pid, stage.box.supervisor.pid, stage.box.process.pid];
  for (const kind of kinds) {
    const name = `memory-${kind}`;
    const definition = { name, command: ["/probes/memory", kind, "48"], limits: { memoryBytes: 32 << 20, openFiles: 4096 } };
    await stage.sandbox(definition);
    try {
      const { status, exit } = await stage.host.reaches(name, "stopped", 25_000);
      expect([kind, status.reason, exit.signal]).toEqual([kind, "out-of-memory", "SIGKILL"]);
    } finally {
      await stage.host.request("DELETE", `/v1/sandboxes/${name}`);
    }
  }
  expect(before.every(isAlive)).toBe(true);
  expect((await stage.host.report("box")).status.state).toBe("running");
  return `48 MiB of ${kinds.join(", ")} where 32 are allowed`;
};
