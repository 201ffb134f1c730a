/** The launcher as a service of its own, which tells its service manager how it fares (sd_notify(3)). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { NotifySocket } from "../fixtures/notify-socket.ts";
import { eventually } from "./eventually.ts";
import { cgroupTrees, file, processesWith } from "./witness.ts";

const program = resolve(import.meta.dirname, "../../build/sanitize/unshared-supervisor");
const parent = `unshared-supervisor-notify-${process.pid}`;
let directory: string;
let manager: NotifySocket;
let launcher: ChildProcess;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "unshared-notify-"));
  const [run, state] = [join(directory, "run"), join(directory, "state")];
  await Promise.all([mkdir(run), mkdir(state)]);
  manager = await NotifySocket.open(`@unshared-test-notify-${process.pid}`, join(run, "launcher.sock"));
  const flags = ["--run-dir", run, "--state-dir", state, "--cgroup-parent", parent, "--id-base", "1300000000", "--ready-shells", "1"];
  launcher = spawn(program, ["launcher", ...flags], { stdio: "ignore", env: { UNSHARED_TEST: parent, NOTIFY_SOCKET: manager.path } });
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

it("is ready once it answers", async () => {
  await manager.said("READY=1 answers");
  expect(manager.messages).toEqual(["bound", "READY=1 answers"]);
});

it("leaves the socket's name in none of the processes that it forks", async () => {
  const titled = (title: string) => processesWith(parent, parent).filter((pid) => file(pid, "cmdline").startsWith(title));
  const [shell = 0] = await eventually("a prepared shell", () => titled("unshared-shell").length > 0 && titled("unshared-shell"));
  for (const pid of [launcher.pid ?? 0, ...titled("unshared-supervisor"), shell]) {
    expect(file(pid, "environ")).toContain(parent);
    expect(file(pid, "environ")).not.toContain(manager.path);
  }
});

it("says that it stops, and leaves nothing", async () => {
  const ended = once(launcher, "exit");
  launcher.kill();
  expect(await ended).toEqual([0, null]);
  await manager.said("STOPPING=1");
  expect(cgroupTrees.filter((tree) => existsSync(join(tree, parent)))).toEqual([]);
});
