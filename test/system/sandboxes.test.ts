/** What a create with start=true makes of a definition, seen from the host. */
import { execSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inodesOf, lsns, startTicksOf, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("sandboxes", 1_100_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const shell = (command: string): string => execSync(command, { encoding: "utf8", shell: "/bin/bash" });
describe("POST /v1/sandboxes?start=true with {}", () => {
  // biome-ignore lint/suspicious/noExplicitAny: the test states its shape
  let report: any;
  let pid: number;
  beforeAll(async () => {
    report = await host.run();
    pid = report.process.pid;
  });

  it("answers the whole report, every default filled in", async () => {
    const name = `sandbox-${report.id.slice(-8)}`;
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const own = inodesOf(pid);
    const hosts = inodesOf("self");
    expect(report).toEqual({
      id: expect.stringMatching(/^[0-9a-z]{26}$/),
      name,
      owner: null,
      generation: 1,
      root: { id: expect.stringMatching(/^[0-9a-z]{26}$/), name: "default" },
      labels: {},
      definition: {
        name,
        root: "default",
        command: ["/bin/bash"],
        env: {},
        cwd: "/",
        user: { uid: 0, gid: 0 },
        hostname: name,
        tty: false,
        namespaces: { mount: true, uts: true, ipc: true, net: true, pid: true, user: true, cgroup: true, time: false },
        limits: { memoryBytes: null, cpus: null, cpuWeight: 100, pids: 512, diskBytes: null, openFiles: 1024, outputBytes: 1_048_576 },
        capabilities: [],
        seccomp: "default",
        init: true,
        network: { mode: "none" },
        restart: { policy: "never", maxRetries: 3 },
        autostart: false,
        lifetime: { ttlSeconds: null, idleSeconds: null, onExpiry: "delete" },
        labels: {},
      },
      status: { state: "running", reason: null, message: null, since: time },
      process: { pid: expect.any(Number), pidInside: 2, startTicks: startTicksOf(pid), startedAt: time },
      supervisor: { pid: expect.any(Number) },
      bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      ids: { hostUidBase: expect.any(Number), size: 65_536 },
      namespaces: Object.fromEntries(
        Object.keys(own).map((type) => [
          type,
          { inode: own[type], hostInode: hosts[type], isolated: type !== "time", path: `/proc/${pid}/ns/${type}` },
        ]),
      ),
      enter: `nsenter --target ${pid} --all --root --wd`,
      exit: null,
      lifetime: { expiresAt: null, idleExpiresAt: null },
      restart: { policy: "never", count: 0, nextAt: null },
      phases: expect.any(Array),
      warnings: [],
      createdAt: time,
      startedAt: time,
    });
    for (const type of Object.keys(own)) expect(own[type] !== hosts[type], type).toBe(type !== "time");
    expect(await host.report(report.id)).toEqual(report);
  });

  it("runs bash as a child of an init, guarded by the supervisor it names", () => {
    expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("bash\n");
    expect(statusLine(pid, "NSpid").split(/\s+/)).toEqual([String(pid), "2"]);
    const init = Number(statusLine(pid, "PPid"));
    expect(statusLine(init, "NSpid").split(/\s+/)).toEqual([String(init), "1"]);
    expect(Number(statusLine(init, "PPid"))).toBe(report.supervisor.pid);
    expect(host.pidsInside(report).sort()).toEqual([init, pid].sort());
  });

  it("agrees with lsns", async () => {
    const seen = await lsns(pid);
    for (const [type, { inode }] of Object.entries<{ inode: number }>(report.namespaces)) expect(seen[type], type).toBe(inode);
  });

  it("is entered by the line that it gives", () => {
    const inside = shell(`${report.enter} /bin/bash -c 'readlink /proc/self/ns/{mnt,uts,ipc,net,pid,user,cgroup}; hostname; id -u; pwd'`);
    const links = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"].map((type) => `${type}:[${report.namespaces[type].inode}]`);
    expect(inside.trim().split("\n")).toEqual([...links, report.definition.hostname, "0", "/"]);
  });

  it("sees a root of its own and nothing of the host's tree", () => {
    const { filesystems } = JSON.parse(shell(`findmnt --task ${pid} --json`));
    expect(filesystems).toHaveLength(1);
    expect(filesystems[0]).toMatchObject({ target: "/", fstype: "overlay" });
    const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
    expect(mounts).not.toContain(host.daemon.directory);
    const targets = filesystems[0].children.map(({ target }: { target: string }) => target);
    expect(targets.sort()).toEqual(["/dev", "/proc", "/sys"]);
    expect(mounts).toMatch(/ \/sys ro,\S* .*- sysfs /);
    expect(existsSync(`/proc/${pid}/root/work`)).toBe(false);
    expect(readdirSync(`/proc/${pid}/root`)).not.toContain("old-root");
    expect(shell(`${report.enter} /bin/ps -e -o pid=,comm=`).trim().split("\n").length).toBe(3);
  });

  it("writes into its own upper directory, with plain ids on the disk", async () => {
    shell(`${report.enter} /bin/bash -c 'echo hello > /made && chmod 640 /made'`);
    const upper = join(host.daemon.stateDir, "sandboxes", report.id, "upper");
    expect(readFileSync(join(upper, "made"), "utf8")).toBe("hello\n");
    expect(shell(`stat -c '%u %g %a' ${upper}/made`)).toBe("0 0 640\n");
    expect(existsSync(join(host.daemon.stateDir, "roots", report.root.id, "tree/made"))).toBe(false);
  });

  it("maps its ids to a range of its own", () => {
    for (const map of ["uid_map", "gid_map"])
      expect(readFileSync(`/proc/${pid}/${map}`, "utf8").trim().split(/\s+/).map(Number)).toEqual([0, report.ids.hostUidBase, 65_536]);
    expect(report.ids.hostUidBase).toBeGreaterThanOrEqual(1_100_000_000);
    expect((report.ids.hostUidBase - 1_100_000_000) % 65_536).toBe(0);
    expect(statusLine(pid, "Uid").split(/\s+/)).toEqual(Array(4).fill(String(report.ids.hostUidBase)));
    expect(statusLine(pid, "Groups")).toBe("");
  });

  it("holds no capability, cannot gain any, and is filtered: every thread of it and of its init", () => {
    for (const each of host.pidsInside(report)) {
      for (const task of readdirSync(`/proc/${each}/task`)) {
        const status = readFileSync(`/proc/${each}/task/${task}/status`, "utf8");
        const caps = [...status.matchAll(/^Cap(\w+):\t(\w+)$/gm)].map(([, set, mask]) => `${set} ${mask}`);
        expect(caps).toEqual(["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => `${set} 0000000000000000`));
        expect(status).toMatch(/^NoNewPrivs:\t1$/m);
        expect(status).toMatch(/^Seccomp:\t2$/m);
      }
    }
  });

  it("has a loopback that is up, and neither another link nor a socket of the host's", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await until("a port", () => server.listening);
    const { port } = server.address() as { port: number };
    try {
      expect(shell("ss -Htln")).toContain(`127.0.0.1:${port}`);
      expect(shell(`nsenter -t ${pid} -n ss -Htuln`)).toBe("");
      const links = readFileSync(`/proc/${pid}/net/dev`, "utf8").trim().split("\n").slice(2);
      expect(links.map((line) => line.trim().split(":")[0])).toEqual(["lo"]);
      expect(readFileSync(`/proc/${pid}/net/fib_trie`, "utf8")).toContain("127.0.0.1");
    } finally {
      server.close();
    }
  });

  it("holds no descriptor but its stdio", () => {
    expect(readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) <= 2)).toEqual(["0", "1", "2"]);
    const others = readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) > 2);
    for (const fd of others) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toMatch(/^(pipe|\/dev\/null)/);
  });

  it("gives the same namespaces on their own route", async () => {
    const { status, body } = await host.request("GET", `/v1/sandboxes/${report.name}/namespaces`);
    expect(status).toBe(200);
    expect(body).toEqual({ sandbox: { id: report.id, name: report.name }, namespaces: report.namespaces, enter: report.enter });
  });
});
