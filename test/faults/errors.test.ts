/**
 * A call of the kernel fails at a step of a launch, in the launcher, in a supervisor, or in the shell before its command runs (strace(1), inject). The caller is
 * told which layer failed and why, or nothing at all where the failure does no harm; nothing is half made, and the next launch works, with
 * the same daemon and the same launcher.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { injecting } from "../fixtures/injection.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const patience = 20_000;
let host: SandboxDaemon;
let launcher: number;
beforeAll(async () => {
  // Without prepared shells each launch forks all of its processes while it is traced.
  host = await SandboxDaemon.start("errors", 1_390_000_000, "--ready-shells", "0");
  await host.run({ name: "first" });
  await host.clear();
  launcher = await host.launcherPid();
});
afterAll(() => host[Symbol.asyncDispose]());

/** Of a sandbox, whole or half; the launcher is the one from the beginning. */
const nothingLeft = async (): Promise<void> => {
  await until("no process but the launcher", () => host.processes().join() === String(launcher), patience);
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([]);
  expect(host.cgroups().filter((path) => /\/\d+$/.test(path))).toEqual([]);
};

/** By call: what it may fail with, and the layers that a launch then fails in; none where it goes on without. */
const launches: [string, string, ...string[]][] = [
  ["socketpair", "EMFILE", "supervisor"],
  ["epoll_ctl", "ENOMEM", "supervisor"],
  ["clone", "EAGAIN", "supervisor"],
  ["mmap", "ENOMEM", "supervisor"],
  ["mkdir", "ENOSPC", "cgroup"],
  ["clone3", "EAGAIN", "namespaces"],
  ["clone3", "ENOMEM", "namespaces"],
  ["write", "EIO", "ids"],
  ["openat", "EMFILE", "namespaces", "cgroup", "supervisor"],
  ["openat", "ENOMEM", "namespaces", "cgroup", "supervisor"],
  ["mount", "ENOMEM", "mounts"],
  ["socket", "EMFILE", "loopback", "supervisor"],
  ["bind", "ENOSPC", "supervisor"],
  ["pipe2", "EMFILE", "supervisor"],
  ["sendmsg", "ENOMEM", "supervisor"],
  ["mkdirat", "ENOSPC", "root", "overlay", "dev"],
  ["open_tree", "ENOMEM", "root"],
  ["mount_setattr", "EIO", "root", "proc"],
  ["move_mount", "ENOMEM", "root"],
  ["pivot_root", "ENOMEM", "pivot"],
  ["umount2", "EBUSY", "pivot"],
  ["sethostname", "ENOMEM", "hostname"],
  ["capset", "ENOMEM", "capabilities"],
  ["keyctl", "EPERM", "supervisor"],
  ["execve", "ENOMEM", "command"],
  ["execve", "EIO", "command"],
];

it.each(launches)("a launch in which %s answers %s (check 70)", { timeout: 60_000 }, async (call, error, ...layers) => {
  const rule = `${call}:error=${error}:when=1`;
  const { result, injected } = await injecting(launcher, rule, () => host.request("POST", "/v1/sandboxes?start=true", { name: "box" }));
  expect(injected).toBeGreaterThan(0);
  const isPassing = ["EAGAIN", "EMFILE", "ENOMEM"].includes(error);
  const problem = expectProblem(result, isPassing ? 503 : 500);
  expect(result.headers["retry-after"]).toBe(isPassing ? "1" : undefined);
  expect([problem.code, problem.detail]).toEqual([
    isPassing ? "host-exhausted" : "launch-failed",
    expect.stringMatching(/could not be applied: .+: .+/),
  ]);
  expect(layers).toContain(problem["layer"]);
  expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
  await nothingLeft();
  expect((await host.run({ name: "box" })).status.state).toBe("running");
  await host.clear();
  await nothingLeft();
});
