/** What the daemon tells the service manager that started it (sd_notify(3)). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";
import { NotifySocket } from "../fixtures/notify-socket.ts";
import { commandLine, statusLine, until } from "../fixtures/processes.ts";

const holder = resolve(import.meta.dirname, "../fixtures/socket-holder.pl");
const watchdogMilliseconds = 400;
let directory: string;
let manager: NotifySocket;
let daemon: Daemon;
let pid: number;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "unshared-notify-"));
  const held = join(directory, "held.sock");
  manager = await NotifySocket.open(join(directory, "notify.sock"), held);
  const environment = [`NOTIFY_SOCKET=${manager.path}`, `WATCHDOG_USEC=${watchdogMilliseconds * 1_000}`];
  daemon = await Daemon.startUnder(["env", ...environment, "perl", holder, held], 0, "--default-root", "off");
  pid = daemon.log.find(({ msg }) => msg === "listening")?.["pid"] as number;
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await manager[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const children = (parent: number): number[] =>
  readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
const environmentOf = (process: number): string[] => readFileSync(`/proc/${process}/environ`, "utf8").split("\0");

it("is ready once it serves, and says what it does", async () => {
  await manager.said("READY=1 answers");
  await manager.said("STATUS=serving");
  expect(manager.messages.slice(0, 3)).toEqual(["bound", "STATUS=taking stock of what runs", "READY=1 answers"]);
});

it("gives signs of life while its event loop turns, and none while it does not", async () => {
  await manager.said("WATCHDOG=1", 4);
  process.kill(pid, "SIGSTOP");
  try {
    await until("it is stopped", () => statusLine(pid, "State").startsWith("T"));
    // What it had said before may still be on its way.
    await until("silence", async () => {
      const before = manager.count("WATCHDOG=1");
      await sleep(2 * watchdogMilliseconds);
      return manager.count("WATCHDOG=1") === before;
    });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await manager.said("WATCHDOG=1", manager.count("WATCHDOG=1") + 2);
});

it("speaks through one process, which holds nothing of the daemon's, and starts another when that ends", async () => {
  const messengers = () => children(pid).filter((child) => commandLine(child)[1] === "notify");
  const [first = 0, ...others] = messengers();
  expect([first > 0, others]).toEqual([true, []]);
  const held = readlinkSync(`/proc/${pid}/fd/3`);
  expect(held).toMatch(/^socket:/);
  const descriptors = readdirSync(`/proc/${first}/fd`).map((fd) => readlinkSync(`/proc/${first}/fd/${fd}`));
  expect(descriptors).not.toContain(held);

  process.kill(first, "SIGKILL");
  await until("another one", () => messengers().some((each) => each !== first));
  await manager.said("WATCHDOG=1", manager.count("WATCHDOG=1") + 2);
});

it("lets nobody that it starts speak for it", () => {
  const launcher = daemon.log.map(({ launcherPid }) => launcherPid).find((each) => typeof each === "number") as number;
  expect(environmentOf(launcher).filter((each) => /^(NOTIFY|WATCHDOG)_/.test(each))).toEqual([]);
});

it("says that it stops, and then ends", async () => {
  const code = await daemon.end();
  expect(code).toBe(0);
  expect(manager.messages).toContain("STOPPING=1");
});
