/** A machine that lacks something: the daemon starts all the same, says what is missing and how to mend it, and refuses launches for that reason. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";

interface Check {
  name: string;
  status: string;
  detail: string;
  cost: string | null;
  remedy: string | null;
}

const flags = ["--cgroup-parent", `unshared-preflight-${process.pid}`, "--id-base", "1210000000"];
const missing = async (daemon: Daemon): Promise<Check[]> => {
  const { status, body } = await daemon.request("GET", "/v1/preflight");
  expect([status, body.status]).toEqual([200, "missing"]);
  return body.checks.filter((check: Check) => check.status === "missing");
};
/** The errors of the log at the start say the same as the route. */
const expectLogged = async (daemon: Daemon, checks: Check[]): Promise<void> => {
  const errors = await until("the log", () => {
    const lines = daemon.log.filter(({ level }) => level === "error").map(({ msg }) => String(msg));
    return lines.length >= checks.length && lines;
  });
  for (const { name, detail, remedy, cost } of checks) {
    expect(cost, name).toMatch(/\w/);
    expect(remedy, name).toMatch(/\w/);
    expect(errors).toContainEqual(`launches are refused: ${name}: ${detail}; to mend it: ${remedy}`);
  }
};
const expectRefused = async (daemon: Daemon, code: string, detail: string | RegExp): Promise<void> => {
  const { status, body, text } = await daemon.request("POST", "/v1/sandboxes?start=true", { name: "refused" });
  expect([status, body.code], text).toEqual([503, code]);
  expect(body.detail).toMatch(detail);
  expect((await daemon.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
  expect(readdirSync(join(daemon.stateDir, "sandboxes"))).toEqual([]);
};

describe("where the native program is not there", () => {
  it("the launcher is missing; launches work as soon as it is mended", async () => {
    const directory = mkdtempSync(join(tmpdir(), "unshared-program-"));
    const program = join(directory, "unshared-supervisor");
    try {
      await using daemon = await Daemon.start(...flags, "--supervisor", program);
      const checks = await missing(daemon);
      expect(checks.map(({ name }) => name)).toEqual(["launcher"]);
      expect(checks[0]?.detail).toContain(`${program} ENOENT`);
      await expectLogged(daemon, checks);
      await expectRefused(daemon, "launcher-unavailable", /cannot be started/);
      // A definition may be stored; its start is refused for the same reason and it stays startable.
      const { body: stored } = await daemon.request("POST", "/v1/sandboxes", { name: "stored" });
      expect((await daemon.request("POST", "/v1/sandboxes/stored/start", {})).body.code).toBe("launcher-unavailable");
      copyFileSync(resolve(import.meta.dirname, "../../build/unshared-supervisor"), program);
      expect((await daemon.request("POST", "/v1/sandboxes/stored/start", {})).body).toMatchObject({
        id: stored.id,
        status: { state: "running" },
      });
      expect((await daemon.request("GET", "/v1/preflight")).body.status).not.toBe("missing");
      expect((await daemon.request("DELETE", "/v1/sandboxes/stored")).body).toMatchObject({ complete: true });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

const lacking: [string, string[], number, string[], RegExp][] = [
  [
    "as another user than root",
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    65_534,
    ["privileges: runs as uid 65534: run the daemon as root", "cgroups", "layer-cgroup"],
    /cgroup: /,
  ],
  [
    "as a root without capabilities",
    ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    0,
    ["privileges: runs as root without CAP_CHOWN", "cgroups", "layer-cgroup"],
    /cgroup: /,
  ],
  [
    "without a cgroup tree",
    ["unshare", "--mount", "/bin/bash", "-c", 'umount -R /sys/fs/cgroup && exec "$@"', "--"],
    0,
    ["cgroups: no cgroup v2 hierarchy is mounted", "layer-cgroup: no cgroup v2 hierarchy"],
    /no cgroup v2 hierarchy is mounted/,
  ],
];
describe("a daemon that runs", () => {
  it.each(lacking)("%s says so, and refuses launches for that reason (check 25)", async (_, wrapper, uid, expected, refusal) => {
    await using daemon = await Daemon.startUnder(wrapper, uid, ...flags);
    const checks = await missing(daemon);
    const told = checks.map(({ name, detail, remedy }) => `${name}: ${detail}: ${remedy}`);
    expect(told).toHaveLength(expected.length);
    for (const [index, text] of told.entries()) expect(text).toContain(expected[index]);
    await expectLogged(daemon, checks);
    await expectRefused(daemon, "host-not-ready", refusal);
    expect((await daemon.request("GET", "/healthz")).status).toBe(200);
  });
});
