/** What each process of ours may do, holds and was given, from the daemon to a command inside. The witness is proc(5). */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { type ClientRequest, request as httpRequest } from "node:http";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { capabilityMask } from "../../server/domain/capabilities.ts";
import { Daemon } from "../fixtures/daemon.ts";
import { commandLine, pidsInCgroup, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const repository = resolve(import.meta.dirname, "../..");
const confine = join(repository, "script/confine");
const unit = readFileSync(join(repository, "systemd/unshared.service"), "utf8");

/** The host's own, of which launcher and supervisors keep what is left: see supervisor/privileges.c. */
const nativeCapabilities =
  "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_ADMIN SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_RESOURCE".split(" ");
const unitCapabilities = (/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? "").split(" ");

const ofFile = (pid: number, name: string): string => readFileSync(`/proc/${pid}/${name}`, "utf8");
const mask = (pid: number, set: string): bigint => BigInt(`0x${statusLine(pid, set)}`);
const capabilities = (pid: number) => Object.fromEntries(["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => [set, mask(pid, `Cap${set}`)]));
/** No more than this of what whoever runs the tests has. */
const atMost = (names: readonly string[]): Record<string, bigint> => {
  const kept = capabilityMask(names) & mask(process.pid, "CapBnd");
  return { Inh: 0n, Prm: kept, Eff: kept, Bnd: kept, Amb: 0n };
};
const coreLimit = (pid: number): string[] => /^Max core file size +(\S+) +(\S+)/m.exec(ofFile(pid, "limits"))?.slice(1) ?? [];
const oomScore = (pid: number): number => Number(ofFile(pid, "oom_score_adj"));
/** Not every kernel, and not every container, lets it be lowered. */
const lowest =
  spawnSync("bash", ["-c", "echo -900 >/proc/self/oom_score_adj"], { stdio: "ignore" }).status === 0 ? -900 : oomScore(process.pid);

let host: SandboxDaemon;
let watching: ClientRequest;
/** By what they are. */
const pids: Record<string, number> = {};
const pid = (name: string): number => pids[name] ?? Number.NaN;
const outside = ["launcher", "supervisor"];
const inside = ["prepared shell", "init", "command", "process", "terminal"];

beforeAll(async () => {
  // A group of its own shows who owns the files of /proc/PID: who is not dumpable, root, and else the process's own ids.
  const wrapper = ["setpriv", "--regid=65534", "--clear-groups", confine];
  host = await SandboxDaemon.startAs({ wrapper }, "hygiene", 1_900_000_000, "--ready-shells", "1");
  const { id, process: main, supervisor } = await host.run({ env: { K: "v" } });
  const start = async (body: object): Promise<number> =>
    (await host.request("POST", `/v1/sandboxes/${id}/processes`, { command: ["/bin/bash", "-c", "read"], stdin: true, ...body })).body.pid;
  Object.assign(pids, { daemon: host.daemon.pid, launcher: await host.launcherPid(), supervisor: supervisor.pid, command: main.pid });
  Object.assign(pids, { process: await start({ env: { L: "w" } }), terminal: await start({ tty: true }) });
  pids["init"] = Number(statusLine(main.pid, "PPid"));
  pids["prepared shell"] = await until("a prepared shell", () =>
    pidsInCgroup(`/${host.cgroupParent}/`).find((each) => commandLine(each)[0]?.startsWith("unshared-shell")),
  );
  // Changes are told by a file agent, which lives as long as it is listened to.
  watching = httpRequest({ socketPath: host.daemon.socket, path: `/v1/sandboxes/${id}/watch?path=/`, headers: { host: "localhost" } });
  watching.on("error", () => {}).end();
  pids["file agent"] = await until("a file agent", () =>
    pidsInCgroup(host.cgroupOf(main.pid)).find((each) => commandLine(each)[0]?.startsWith("unshared-files")),
  );
  await until("its confinement", () => statusLine(pid("file agent"), "Seccomp") === "2", 20_000);
});
afterAll(async () => {
  watching?.destroy();
  await host[Symbol.asyncDispose]();
});

describe("privileges", () => {
  it("of the daemon are those that its unit names", () => {
    expect(capabilities(pid("daemon"))).toEqual(atMost(unitCapabilities));
    expect(statusLine(pid("daemon"), "NoNewPrivs")).toBe("1");
    expect(unitCapabilities).toContain("CAP_SYS_ADMIN");
    expect(unit).toMatch(/^NoNewPrivileges=yes$/m);
  });

  it.each(outside)("of the %s are those that some launch needs", (name) => {
    expect(capabilities(pid(name))).toEqual(atMost(nativeCapabilities.map((each) => `CAP_${each}`)));
    expect([statusLine(pid(name), "NoNewPrivs"), statusLine(pid(name), "Groups")]).toEqual(["1", ""]);
  });

  it.each(inside.slice(1))("of the %s are none", (name) => {
    expect(capabilities(pid(name))).toEqual({ Inh: 0n, Prm: 0n, Eff: 0n, Bnd: 0n, Amb: 0n });
    expect(["NoNewPrivs", "Seccomp", "Groups"].map((line) => statusLine(pid(name), line))).toEqual(["1", "2", ""]);
  });

  it("are enough for a sandbox whose ids are the host's: its files, terminals, signals, end", async () => {
    const { id } = await host.run({ namespaces: { user: false }, user: { uid: 1000, gid: 1000 } });
    const put = await host.request("PUT", `/v1/sandboxes/${id}/files?path=/tmp/note`, { text: "words" });
    expect(put.status, put.text).toBe(201);
    const cat = { command: ["/bin/bash", "-c", "read line </tmp/note; echo $line; read"], tty: true };
    const { body } = await host.request("POST", `/v1/sandboxes/${id}/processes`, cat);
    expect(statusLine(body.pid, "Uid")).toBe("1000\t1000\t1000\t1000");
    expect((await host.request("POST", `/v1/sandboxes/${id}/processes/${body.id}/signal`, { signal: "SIGHUP" })).status).toBeLessThan(300);
    await until("its end", () => commandLine(body.pid).length === 0, 20_000);
    expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body).toMatchObject({ complete: true, remaining: [] });
  });

  it("of a file agent are four over the sandbox's own files", () => {
    const kept = capabilityMask(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"]);
    expect(capabilities(pid("file agent"))).toEqual({ Inh: kept, Prm: kept, Eff: kept, Bnd: kept, Amb: kept });
    expect(["NoNewPrivs", "Seccomp"].map((line) => statusLine(pid("file agent"), line))).toEqual(["1", "2"]);
  });
});

it("no user namespace is made below a sandbox's own, not even by who enters it with all capabilities and without its filter", () => {
  const made = (...way: string[]) => spawnSync("env", [...way, "unshare", "--user", "true"], { encoding: "utf8" });
  expect(made("unshare", "--user", "--map-root-user").status).toBe(0); // one below another can be made
  const refused = made("nsenter", "--target", String(pid("command")), "--user");
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("No space left on device")]); // user_namespaces(7), ENOSPC
});

it("no process of ours leaves a core, nor starts the program that takes cores", () => {
  expect(unit).toMatch(/^LimitCORE=1$/m);
  for (const [name, each] of Object.entries(pids)) expect([name, ...coreLimit(each)]).toEqual([name, "1", "1"]);
});

it("the out-of-memory killer finds better victims inside than outside", () => {
  expect(unit).toMatch(/^OOMScoreAdjust=-900$/m);
  for (const name of ["daemon", ...outside]) expect([name, oomScore(pid(name))]).toEqual([name, lowest]);
  for (const name of [...inside, "file agent"]) expect([name, oomScore(pid(name))]).toEqual([name, 500]);
});

it("launcher and supervisor are looked into by nobody but root with CAP_SYS_PTRACE: they are not dumpable", () => {
  const group = (name: string) => statSync(`/proc/${pid(name)}/environ`).gid;
  expect(statusLine(pid("supervisor"), "Gid")).toBe("65534\t65534\t65534\t65534");
  // The daemon's own is the control: Node's are dumpable.
  expect(["daemon", ...outside].map((name) => [name, group(name)])).toEqual([
    ["daemon", 65534],
    ["launcher", 0],
    ["supervisor", 0],
  ]);
});

it("launcher and supervisor stand in the way of no mount, and make files that are theirs alone to write", () => {
  for (const name of outside) expect([name, readlinkSync(`/proc/${pid(name)}/cwd`)]).toEqual([name, "/"]);
  // A file agent gives each file the mode that is asked for.
  const others = Object.entries(pids).filter(([name]) => name !== "file agent");
  for (const [name, each] of others) expect([name, statusLine(each, "Umask")]).toEqual([name, "0022"]);
});

describe("descriptors", () => {
  const targets = (name: string): string[] =>
    readdirSync(`/proc/${pid(name)}/fd`).map((fd) =>
      readlinkSync(`/proc/${pid(name)}/fd/${fd}`).replace(/:\[\d+\]$|^(\/sys\/fs\/cgroup)\/.*/, "$1"),
    );

  it("of a supervisor lead to its sockets, pipes, processes and cgroups, and to nothing of the daemon's", () => {
    const { stateDir, directory } = host.daemon;
    const known = [
      ...["/dev/null", "/dev/pts/ptmx", "/sys/fs/cgroup", "socket", "pipe", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"],
      ...["anon_inode:[signalfd]", "anon_inode:[pidfd]", "pidfd"], // and as kernels before and from 6.9 name it
      ...[`${directory}/run/launcher.log`, `${directory}/run/sandboxes`],
    ];
    expect(targets("supervisor").filter((target) => !known.includes(target) && !target.startsWith(`${stateDir}/sandboxes`))).toEqual([]);
  });

  it("inside are stdio and no more; an init has its line to the supervisor besides", async () => {
    for (const name of ["command", "process", "terminal"]) expect([name, targets(name).length]).toEqual([name, 3]);
    await until("the init's own four", () => targets("init").length === 4, 20_000);
    expect(targets("init").sort()).toEqual(["/dev/null", "/dev/null", "/dev/null", "pipe"]);
  });
});

describe("environments are built from nothing", () => {
  const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

  it("inside they are what the definition says", () => {
    expect(ofFile(pid("command"), "environ")).toBe(`${path}\0HOME=/root\0K=v\0`);
    expect(ofFile(pid("process"), "environ")).toBe(`${path}\0HOME=/root\0L=w\0`);
    expect(ofFile(pid("terminal"), "environ")).toBe(`${path}\0HOME=/root\0TERM=xterm-256color\0`);
  });

  it("a launcher that the daemon starts gets two variables", async () => {
    const wrapper = ["env", "SECRET=of-the-operator", "LD_PRELOAD=", "IFS=x"];
    await using daemon = await Daemon.startUnder(wrapper, 0, "--default-root", "off", "--ready-shells", "0");
    expect(ofFile(daemon.pid, "environ")).toContain("SECRET=of-the-operator");
    const { launcher } = (await daemon.request("GET", "/v1/info")).body;
    expect(ofFile(launcher.pid, "environ")).toBe("PATH=/usr/sbin:/usr/bin:/sbin:/bin\0LC_ALL=C\0");
  });
});

const sessionKeyring = "print syscall(250, 0, -3, 0)"; // keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) on x86-64
const hasKeyrings = process.arch === "x64" && spawnSync("perl", ["-e", "exit(syscall(250, 0, -3, 1) < 0)"]).status === 0;

describe.skipIf(!hasKeyrings)("session keyrings", () => {
  it("the launcher's is not that of whoever started the daemon, and that of a sandbox is neither", async () => {
    const wrapper = [
      "perl",
      "-e",
      `syscall(250, 1, 0); open(F, ">", shift); ${sessionKeyring.replace("print", "print F")}; close F; exec @ARGV`,
    ];
    const noted = join(host.program, "../session");
    await using box = await SandboxDaemon.startAs(
      { mutable: true, wrapper: [...wrapper, noted] },
      "keyring",
      1_904_000_000,
      ...["--ready-shells", "0", "--default-root", "off"],
    );
    const source = { kind: "copy", binaries: ["/bin/bash", "/usr/bin/perl"] };
    expect((await box.request("POST", "/v1/roots?wait=60", { name: "perl", source })).status).toBe(201);
    // A start that reached the old launcher in its last moment can be tried again.
    const isCutOff = (error: Error): null => {
      if (!error.message.includes("launcher-unavailable")) throw error;
      return null;
    };
    /** The numbers that two sandboxes see; the filter lets none be asked for, so it is left out. */
    const seen = async (mutants: string): Promise<string[]> => {
      const launcher = await box.launcherPid();
      writeFileSync(`${box.program}.mutants`, mutants);
      process.kill(launcher, "SIGTERM");
      await until("its end", () => commandLine(launcher).length === 0, 20_000);
      const found: string[] = [];
      for (let count = 0; count < 2; count++) {
        const { id } = await until("a sandbox", () => box.run({ root: "perl" }).catch(isCutOff));
        const { body } = await box.request("POST", `/v1/sandboxes/${id}/processes?wait=60`, {
          command: ["/usr/bin/perl", "-e", sessionKeyring],
        });
        expect(body.output.stdout.data).toMatch(/^[1-9]\d*$/);
        found.push(body.output.stdout.data);
        expect((await box.request("DELETE", `/v1/sandboxes/${id}`)).status).toBe(200);
      }
      return found;
    };
    const operator = readFileSync(noted, "utf8");
    expect(operator).toMatch(/^[1-9]\d*$/);
    // Without the layer inside, it is the launcher's that they see.
    const [launcher, again] = await seen("no-seccomp,no-keyring");
    expect(again).toBe(launcher);
    expect(launcher).not.toBe(operator);
    const own = await seen("no-seccomp");
    expect(new Set([operator, launcher, ...own]).size).toBe(4);
  });
});
