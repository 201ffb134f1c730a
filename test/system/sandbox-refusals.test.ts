/** What a refused create and a delete leave behind: nothing. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pidsInCgroup, pidsInNamespace, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("refusals", 1_120_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

describe("a create that is refused", () => {
  const refused: [string, object, number, string, string][] = [
    ["a root without a mount namespace", { root: "default", namespaces: { mount: false } }, 422, "namespace-combination", "/root"],
    ["neither user nor mount", { namespaces: { mount: false, user: false } }, 422, "namespace-combination", "/namespaces/user"],
    [
      "capabilities over the host",
      { capabilities: ["CAP_CHOWN"], namespaces: { user: false } },
      422,
      "namespace-combination",
      "/capabilities",
    ],
    ["a name for the host", { hostname: "x", namespaces: { uts: false } }, 422, "namespace-combination", "/hostname"],
    ["a terminal without a mount namespace", { tty: true, namespaces: { mount: false } }, 422, "namespace-combination", "/tty"],
    ["an init without a pid namespace", { init: true, namespaces: { pid: false } }, 422, "namespace-combination", "/init"],
    ["a command that is not there", { command: ["/no/such"] }, 422, "command-not-found", "/command/0"],
    ["a command that is no program", { command: ["/etc/passwd"] }, 422, "command-not-executable", "/command/0"],
    ["a directory that is not there", { cwd: "/no/such" }, 422, "working-directory-invalid", "/cwd"],
    ["a root that is not there", { root: "none" }, 422, "root-not-found", "/root"],
  ];
  it.each(refused)("for %s says why, and leaves nothing", async (_, body, status, code, pointer) => {
    const list = async () => (await host.request("GET", "/v1/sandboxes?limit=1000")).body.items.map(({ id }: { id: string }) => id);
    const shells = async () => (await host.request("GET", "/v1/info")).body.launcher.readyShells === 4;
    await until("prepared shells", shells);
    const [rows, processes, cgroups] = [await list(), host.processes().length, host.cgroups().length];
    const reply = await host.request("POST", "/v1/sandboxes?start=true", body);
    expect([reply.status, reply.body.code], reply.text).toEqual([status, code]);
    expect(reply.body.errors.map((each: { pointer: string }) => each.pointer)).toContain(pointer);
    expect(await list()).toEqual(rows);
    await until("prepared shells", shells);
    await until("processes as before", () => host.processes().length === processes);
    await until("cgroups as before", () => host.cgroups().length === cgroups);
    expect(readdirSync(join(host.daemon.stateDir, "sandboxes")).sort()).toEqual(rows.sort());
  });
});

describe("a sandbox that is deleted", () => {
  it("answers what was removed, and nothing of it is left", async () => {
    const report = await host.run({ command: ["/bin/bash", "-c", "sleep 1000 & sleep 1000 & wait"] });
    await until("both sleeps", () => host.pidsInside(report).length === 4);
    const pids = host.pidsInside(report);
    const cgroup = host.cgroupOf(report.process.pid);
    const { status, body } = await host.request("DELETE", `/v1/sandboxes/${report.id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: report.id, name: report.name, reason: "deleted", processes: 4, complete: true, remaining: [] });
    for (const [type, { inode, isolated }] of Object.entries<{ inode: number; isolated: boolean }>(report.namespaces))
      expect(body.namespaces[type]).toBe(isolated ? inode : undefined);
    expect(pidsInCgroup(cgroup)).toEqual([]);
    for (const pid of [...pids, report.supervisor.pid]) await until(`${pid} gone`, () => startTicksOf(pid) === 0);
    expect(host.cgroups().filter((path) => path.endsWith(cgroup))).toEqual([]);
    expect(existsSync(join(host.daemon.stateDir, "sandboxes", report.id))).toBe(false);
    expect(existsSync(join(host.daemon.directory, "run/sandboxes", `${report.id}.sock`))).toBe(false);
    expect((await host.request("GET", `/v1/sandboxes/${report.id}`)).status).toBe(404);
    for (const [type, { inode, isolated }] of Object.entries<{ inode: number; isolated: boolean }>(report.namespaces))
      if (isolated) expect(pidsInNamespace(type, inode), type).toEqual([]);
  });
});

it("a terminal of a process is refused, too, where its sandbox has no mount namespace", async () => {
  const { id } = await host.run({ namespaces: { mount: false } });
  const refused = await host.request("POST", `/v1/sandboxes/${id}/processes`, { command: ["/bin/true"], tty: true });
  expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([422, "invalid-definition", "/tty"]);
  await host.request("DELETE", `/v1/sandboxes/${id}`);
});

it("more descriptors than the host lets a process have are a fault of the field", async () => {
  await using small = await SandboxDaemon.start("descriptors", 1_120_000_000 + 4096 * 65536, "--ready-shells", "0");
  execFileSync("prlimit", ["--pid", String(await small.launcherPid()), "--nofile=2000:2000"]);
  const refused = await small.request("POST", "/v1/sandboxes?start=true", { limits: { openFiles: 2_001 } });
  expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([422, "invalid-definition", "/limits/openFiles"]);
  const { process } = await small.run({ limits: { openFiles: 2_000 } });
  expect(readFileSync(`/proc/${process.pid}/limits`, "utf8")).toMatch(/^Max open files +2000 +2000 /m);
});
