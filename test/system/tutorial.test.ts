/**
 * The namespaces tutorial, line by line: what each of its commands means, done by one call over HTTP and proved from the host's
 * side. The commands are quoted in the names of the tests.
 */
import { execFileSync, execSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inodeOf, lsns, statusLine } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const shell = (command: string): string => execSync(command, { encoding: "utf8", shell: "/bin/bash" });

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("tutorial", 1_200_000_000, "--default-root", "off");
});
afterAll(() => host[Symbol.asyncDispose]());

/** Where the root named custom-root lies on the host. */
const tree = async (): Promise<string> => {
  const { id } = (await host.request("GET", "/v1/roots/custom-root")).body;
  return join(host.daemon.stateDir, "roots", id, "tree");
};

describe("Create a Custom Root Filesystem", () => {
  it("mkdir /tmp/custom-root; mkdir -p bin lib64 etc dev; cp /bin/bash bin/: POST /v1/roots", async () => {
    const { status, body } = await host.request("POST", "/v1/roots?wait=true", {
      name: "custom-root",
      source: { kind: "copy", binaries: ["/bin/bash", "/bin/ls", "/bin/cat", "/bin/mount"] },
    });
    expect([status, body.state]).toEqual([201, "ready"]);
    for (const name of ["bin", "lib64", "etc", "dev"]) expect(existsSync(join(await tree(), name)), name).toBe(true);
    expect(readFileSync(join(await tree(), "bin/bash")).equals(readFileSync("/bin/bash"))).toBe(true);
  });

  it("cp -v /lib64/ld-linux-x86-64.so.2, libc.so.6: each library bash needs, and why, in the manifest", async () => {
    const { files } = (await host.request("GET", "/v1/roots/custom-root/manifest")).body;
    // The loader of this host, as the witness; the tutorial's own list lacks libtinfo, and bash does not start with it.
    const needed = shell("ldd /bin/bash").match(/\/\S+/g) ?? [];
    expect(needed.length).toBeGreaterThan(2);
    const there = await tree();
    for (const library of needed) expect(existsSync(join(there, library)), library).toBe(true);
    for (const file of files.filter(({ type }: { type: string }) => type === "file")) expect(file.why.length, file.path).toBeGreaterThan(0);
    expect(execFileSync("chroot", [there, "/bin/bash", "-c", "echo it starts"], { encoding: "utf8" })).toBe("it starts\n");
  });
});

describe("Run a Shell in a New Namespace, and Use chroot to Enter the Custom Root", () => {
  // biome-ignore lint/suspicious/noExplicitAny: other tests state its shape
  let report: any;
  let pid: number;

  it("sudo unshare --mount --uts --ipc --net --pid --fork --user bash: POST /v1/sandboxes?start=true", async () => {
    report = await host.run({ name: "tutorial", root: "custom-root", command: ["/bin/bash"] });
    pid = report.process.pid;
    expect(report.status.state).toBe("running");
    expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("bash\n");
  });

  it.each([
    ["--mount", "mnt"],
    ["--uts", "uts"],
    ["--ipc", "ipc"],
    ["--net", "net"],
    ["--pid", "pid"],
    ["--user", "user"],
  ])("%s: a namespace of its own, which readlink and lsns see too", async (_, type) => {
    expect(inodeOf(pid, type)).toBe(report.namespaces[type].inode);
    expect(inodeOf(pid, type)).not.toBe(inodeOf("self", type));
    expect((await lsns(pid))[type]).toBe(report.namespaces[type].inode);
  });

  it("Mount points: what is mounted inside is not mounted on the host", () => {
    shell(`nsenter -t ${pid} --mount /bin/mount -t tmpfs inside /etc`);
    const inside = JSON.parse(shell(`findmnt --task ${pid} --json`));
    const mounted = inside.filesystems[0].children.find(({ target }: { target: string }) => target === "/etc");
    expect(mounted).toMatchObject({ source: "inside", fstype: "tmpfs" });
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toMatch(/ \/etc .* - tmpfs inside /);
  });

  it("Hostname: another name inside leaves the host's", () => {
    expect(shell(`nsenter -t ${pid} --uts hostname`).trim()).toBe("tutorial");
    shell(`nsenter -t ${pid} --uts hostname renamed`);
    expect(shell(`nsenter -t ${pid} --uts hostname`).trim()).toBe("renamed");
    expect(hostname()).toBe(readFileSync("/proc/sys/kernel/hostname", "utf8").trim());
    expect(hostname()).not.toBe("renamed");
  });

  it("IPC resources: a message queue made inside is not the host's", () => {
    const queue = /id: (\d+)/.exec(shell(`nsenter -t ${pid} --ipc ipcmk --queue`))?.[1];
    expect(shell(`nsenter -t ${pid} --ipc ipcs -q`)).toMatch(new RegExp(`^0x\\w+\\s+${queue}\\s`, "m"));
    const hosts = readFileSync("/proc/sysvipc/msg", "utf8");
    const inside = shell(`nsenter -t ${pid} --ipc cat /proc/sysvipc/msg`);
    expect(hosts).not.toBe(inside);
  });

  it("Network interfaces: a loopback and no other", () => {
    const links = readFileSync(`/proc/${pid}/net/dev`, "utf8").trim().split("\n").slice(2);
    expect(links.map((line) => line.split(":")[0]?.trim())).toEqual(["lo"]);
    expect(readdirSync("/sys/class/net").length).toBeGreaterThan(0);
  });

  it("PID namespace: it sees its own processes alone, from 1", () => {
    expect(report.process.pidInside).toBe(2);
    const inside = shell(`${report.enter} /bin/ls /proc`)
      .split("\n")
      .filter((name) => /^\d+$/.test(name));
    expect(inside.slice(0, 2)).toEqual(["1", "2"]);
    expect(inside.length).toBe(3);
  });

  it("User IDs: root inside is nobody's id outside", () => {
    expect(shell(`${report.enter} /bin/bash -c 'echo $UID'`)).toBe("0\n");
    expect(Number(statusLine(pid, "Uid").split(/\s+/)[0])).toBe(report.ids.hostUidBase);
    expect(report.ids.hostUidBase).toBeGreaterThan(65_535);
  });

  it("sudo chroot /tmp/custom-root /bin/bash: the root is the sandbox's own, and there is no other to go back to", async () => {
    const root = statSync(`/proc/${pid}/root`);
    // nsenter without --root stands at the root of the mount namespace: after a bare chroot that would still be the host's.
    const [device, inode] = shell(`nsenter -t ${pid} --mount /bin/bash -c '[[ / -ef /.. ]] && /bin/ls -di /'`).trim().split(/\s+/);
    expect([device, inode]).toEqual([String(root.ino), "/"]);
    expect(readFileSync(`/proc/${pid}/mountinfo`, "utf8")).toMatch(/ \/ \/ rw\S* .*- overlay /);
  });

  it("ls /: run inside, it lists the custom root", async () => {
    const { id } = await host.run({ name: "listing", root: "custom-root", command: ["/bin/bash", "-c", "ls -1 / > /listing"] });
    expect(await host.reaches(id, "stopped")).toMatchObject({ exit: { code: 0 } });
    const listed = readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/listing"), "utf8")
      .trim()
      .split("\n");
    expect(listed.sort()).toEqual([...readdirSync(await tree()), "listing"].sort());
    expect(shell(`${report.enter} /bin/ls -1 /`).trim().split("\n").sort()).toEqual(listed.filter((name) => name !== "listing"));
  });
});

describe("Processes in the namespace cannot interact with the host filesystem", () => {
  it("a file of the host is not to be found, by any way round", async () => {
    const directory = mkdtempSync(join(tmpdir(), "unshared-secret-"));
    const secret = join(directory, "secret");
    writeFileSync(secret, "the host's\n", { mode: 0o666 });
    try {
      // First the probe itself: on the host it does find the file.
      const ways = ["", "/..", "/../../../..", "/proc/1/root", "/proc/self/root", "/proc/2/cwd"].map((way) => `${way}${secret}`);
      const probe = `for way in ${ways.join(" ")}; do [[ -e $way ]] && echo "$way"; done; true`;
      expect(shell(probe)).toContain(secret);
      const script = `{ ${probe}; } > /found; echo changed > /bin/bash; echo changed > ${secret}; true`;
      const { id } = await host.run({ root: "custom-root", command: ["/bin/bash", "-c", script] });
      expect(await host.reaches(id, "stopped")).toMatchObject({ exit: { reason: "exited" } });
      expect(readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/found"), "utf8")).toBe("");
      expect(readFileSync(secret, "utf8")).toBe("the host's\n");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("what it writes changes neither the root that others share nor the host", async () => {
    const { id } = await host.run({ root: "custom-root", command: ["/bin/bash", "-c", "echo changed > /etc/passwd; echo new > /new"] });
    await host.reaches(id, "stopped");
    const there = await tree();
    expect(readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/etc/passwd"), "utf8")).toBe("changed\n");
    expect(readFileSync(join(there, "etc/passwd"), "utf8")).toContain("root:");
    expect([existsSync(join(there, "new")), existsSync("/new")]).toEqual([false, false]);
    const { files } = (await host.request("GET", "/v1/roots/custom-root/manifest")).body;
    for (const { path, type, sha256 } of files)
      if (type === "file") expect(execFileSync("sha256sum", [join(there, path)], { encoding: "utf8" }).slice(0, 64)).toBe(sha256);
  });
});
