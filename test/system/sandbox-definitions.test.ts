/** Each field of a definition, and each namespace switched off, as the host sees it. */
import { execSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inodesOf, readOr, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("definitions", 1_110_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const shell = (command: string): string => execSync(command, { encoding: "utf8", shell: "/bin/bash" });
/** The setting of a process's cgroup: `v2` where that hierarchy has the controller, else `v1`. */
const cgroupSetting = (pid: number, controller: string, v2: string, v1: string): string => {
  for (const line of readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n")) {
    const [, controllers = "", path = ""] = line.split(":");
    if (controllers === controller) return readFileSync(`/sys/fs/cgroup/${controller}${path}/${v1}`, "utf8").trim();
  }
  return readFileSync(`/sys/fs/cgroup${host.cgroupOf(pid)}/${v2}`, "utf8").trim();
};

describe("a definition", () => {
  it("reaches the process: command, environment, directory, ids, name, limits", async () => {
    const report = await host.run({
      name: "told",
      command: ["sleep", "1000"],
      env: { K: "v", EMPTY: "" },
      cwd: "/tmp",
      user: { uid: 1000, gid: 1001 },
      hostname: "elsewhere",
      limits: { memoryBytes: 67_108_864, cpus: 0.5, pids: 17, openFiles: 99 },
      labels: { team: "x" },
    });
    const { pid } = report.process;
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("sleep\x001000\0");
    const env = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean).sort();
    expect(env).toEqual(["EMPTY=", "HOME=/", "K=v", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    expect(readlinkSync(`/proc/${pid}/cwd`)).toMatch(/\/tmp$/);
    expect(statusLine(pid, "Uid").split(/\s+/)[0]).toBe(String(report.ids.hostUidBase + 1000));
    expect(statusLine(pid, "Gid").split(/\s+/)[0]).toBe(String(report.ids.hostUidBase + 1001));
    expect(shell(`nsenter -t ${pid} -u hostname`)).toBe("elsewhere\n");
    expect(readFileSync(`/proc/${pid}/limits`, "utf8")).toMatch(/^Max open files\s+99\s+99/m);
    expect(cgroupSetting(pid, "memory", "memory.max", "memory.limit_in_bytes")).toBe("67108864");
    expect(cgroupSetting(pid, "pids", "pids.max", "pids.max")).toBe("17");
    expect(cgroupSetting(pid, "cpu", "cpu.max", "cpu.cfs_quota_us")).toMatch(/^50000/);
  });

  it("may want the command itself to be PID 1", async () => {
    const report = await host.run({ init: false });
    expect(report.process.pidInside).toBe(1);
    expect(statusLine(report.process.pid, "NSpid").split(/\s+/)[1]).toBe("1");
    expect(Number(statusLine(report.process.pid, "PPid"))).toBe(report.supervisor.pid);
  });

  it("may want a terminal of the sandbox's own", async () => {
    const { process } = await host.run({ tty: true });
    expect(readlinkSync(`/proc/${process.pid}/fd/0`)).toMatch(/\/dev\/pts\/0$|^\/pts\/0$|^\/0$/);
    expect(readFileSync(`/proc/${process.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[4]).not.toBe("0");
  });

  it("may keep capabilities, inside the user namespace", async () => {
    const { process } = await host.run({ capabilities: ["CAP_CHOWN", "CAP_SETUID"] });
    const mask = (1n | (1n << 7n)).toString(16).padStart(16, "0");
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) expect(statusLine(process.pid, set)).toBe(mask);
  });
});

describe("a warm launch and a cold one", () => {
  it("give the same report but for their phases", async () => {
    const ready = async () => (await host.request("GET", "/v1/info")).body.launcher.readyShells;
    await until("prepared shells", async () => (await ready()) > 0);
    const warm = await host.run();
    // No shell is prepared with a time namespace.
    const cold = await host.run({ namespaces: { time: true } });
    const names = (report: { phases: { name: string }[] }) => report.phases.map(({ name }) => name);
    expect(names(cold)).toEqual(["prepare", ...names(warm)]);
    const shape = (value: unknown): unknown =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shape(each)]))
        : typeof value;
    expect(shape(cold)).toEqual(shape(warm));
  });
});

describe("a namespace that is switched off", () => {
  const kernel: Record<string, string> = { mount: "mnt" };
  const types = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"];
  it.each(["mount", "uts", "ipc", "net", "pid", "user", "cgroup"])("%s: is the host's own, the others are not", async (key) => {
    const type = kernel[key] ?? key;
    const report = await host.run({ namespaces: { [key]: false } });
    const own = inodesOf(report.process.pid);
    const hosts = inodesOf("self");
    for (const each of types) {
      expect(own[each] === hosts[each], each).toBe(each === type);
      expect(report.namespaces[each]).toMatchObject({ inode: own[each], hostInode: hosts[each], isolated: each !== type });
    }
    expect(report.warnings).toEqual([expect.stringContaining(`the host's ${key} namespace`)]);
    if (key === "user") expect(report.ids).toBeNull();
    if (key === "mount")
      expect([report.root, readOr(`/proc/${report.process.pid}/root/proc/self/stat`, null) !== null]).toEqual([null, true]);
    expect(shell(`${report.enter} /bin/bash -c 'readlink /proc/self/ns/${type}'`)).toBe(`${type}:[${hosts[type]}]\n`);
    const { body } = await host.request("DELETE", `/v1/sandboxes/${report.id}`);
    expect(body).toMatchObject({ complete: true, remaining: [] });
    expect(Object.keys(body.namespaces).sort()).toEqual(types.filter((each) => each !== type).sort());
  });

  it("all that may be switched off together leave mount and user", async () => {
    const report = await host.run({ namespaces: { uts: false, ipc: false, net: false, pid: false, cgroup: false } });
    const [own, hosts] = [inodesOf(report.process.pid), inodesOf("self")];
    expect(types.filter((type) => own[type] !== hosts[type])).toEqual(["mnt", "user"]);
    expect(report.warnings).toHaveLength(5);
    expect(report.process.pidInside).toBe(report.process.pid);
  });

  it("time: is the host's unless asked for", async () => {
    const report = await host.run({ namespaces: { time: true } });
    expect(inodesOf(report.process.pid)["time"]).not.toBe(inodesOf("self")["time"]);
    expect(report.namespaces.time).toMatchObject({ inode: inodesOf(report.process.pid)["time"], isolated: true });
    expect(shell(`${report.enter} /bin/bash -c 'readlink /proc/self/ns/time'`)).toBe(`time:[${report.namespaces.time.inode}]\n`);
  });
});
