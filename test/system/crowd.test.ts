/** A hundred sandboxes at once: nothing of one is another's, and the host is afterwards as it was. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fingerprint } from "../fixtures/fingerprint.ts";
import { inodesOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const count = 100;
const types = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"];

let host: SandboxDaemon;
let before: string;
// biome-ignore lint/suspicious/noExplicitAny: reports, whose shape other tests state
let reports: any[];
beforeAll(async () => {
  // Prepared shells come and go with pids and cgroups of their own; without them the fingerprint can be exact.
  host = await SandboxDaemon.start("crowd", 1_180_000_000, "--ready-shells", "0");
  const { id } = await host.run();
  await host.request("DELETE", `/v1/sandboxes/${id}`);
  await until("only the launcher", () => host.processes().length === 1);
  before = fingerprint(host);
  reports = await Promise.all(Array.from({ length: count }, (_, index) => host.run({ name: `crowd-${index}` })));
});
afterAll(() => host[Symbol.asyncDispose]());

describe(`${count} sandboxes at once`, () => {
  it("run, each in seven namespaces that no other has", () => {
    const hosts = inodesOf("self");
    const seen = new Set<number>(Object.values(hosts));
    for (const { process: main, namespaces } of reports) {
      const own = inodesOf(main.pid);
      for (const type of types) {
        expect(namespaces[type].inode).toBe(own[type]);
        seen.add(own[type] ?? 0);
      }
      expect(own["time"]).toBe(hosts["time"]);
    }
    expect(seen.size).toBe(8 + count * types.length);
  });

  it("have ranges of ids that do not touch", () => {
    const ranges = reports.map(({ process: main }) => readFileSync(`/proc/${main.pid}/uid_map`, "utf8").trim().split(/\s+/).map(Number));
    const bases = ranges.map(([inside, base = 0, size]) => {
      expect([inside, size]).toEqual([0, 65_536]);
      return base;
    });
    bases.sort((a, b) => a - b);
    for (const [index, base] of bases.entries()) if (index > 0) expect(base - (bases[index - 1] ?? 0)).toBeGreaterThanOrEqual(65_536);
    expect(reports.map(({ ids }) => ids.hostUidBase).sort((a, b) => a - b)).toEqual(bases);
  });

  it("have a cgroup each, and share none", () => {
    const paths = reports.map(({ process: main }) => host.cgroupOf(main.pid));
    expect(new Set(paths).size).toBe(count);
  });

  it("cost little: a supervisor that waits has few pages of its own", () => {
    for (const { supervisor } of reports) {
      const rollup = readFileSync(`/proc/${supervisor.pid}/smaps_rollup`, "utf8");
      expect(Number(rollup.match(/^Private_Dirty:\s+(\d+) kB/m)?.[1])).toBeLessThan(300);
    }
  });

  it("are found by each of their inodes and pids", async () => {
    await Promise.all(
      reports.map(async ({ id, name, process: main, namespaces }) => {
        for (const type of ["pid", "net", "mnt"]) {
          const { items } = (await host.request("GET", `/v1/namespaces?inode=${namespaces[type].inode}`)).body;
          expect(items).toEqual([{ type, inode: namespaces[type].inode, host: false, sandboxes: [{ id, name }] }]);
        }
        const { process: owner } = (await host.request("GET", `/v1/namespaces?pid=${main.pid}`)).body;
        expect(owner).toMatchObject({ pid: main.pid, isMain: true, sandbox: { id, name } });
      }),
    );
    const { items } = (await host.request("GET", "/v1/namespaces")).body;
    expect(items).toHaveLength(8 + count * types.length);
  });

  it("are deleted at once, and the host is as it was, byte for byte", async () => {
    const receipts = await Promise.all(reports.map(({ id }) => host.request("DELETE", `/v1/sandboxes/${id}`)));
    for (const { status, body } of receipts) {
      expect(status).toBe(200);
      expect(body).toMatchObject({ complete: true, remaining: [], processes: 2 });
      expect(Object.keys(body.namespaces).sort()).toEqual([...types].sort());
    }
    expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
    await until("only the launcher", () => host.processes().length === 1);
    expect(fingerprint(host)).toBe(before);
  });
});
