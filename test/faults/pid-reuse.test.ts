/**
 * A number that a dead supervisor or main process had is given to somebody else, who must not notice. Daemon and launcher live in a pid namespace of their own,
 * in which the next number can be chosen (proc(5), /proc/sys/kernel/ns_last_pid).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { commandLine, isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const patience = 30_000;
let host: SandboxDaemon;
/** PID 1 of the namespace: a shell, which reaps whoever loses its parent. */
let holder: ChildProcess;
let enter: string[];

beforeAll(async () => {
  host = await SandboxDaemon.start("reuse", 1_420_000_000, "--ready-shells", "0");
  await host.daemon.end();
  await until("its launcher ended", () => host.processes().length === 0, patience);
  holder = spawn("unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "while :; do sleep 1000 & wait; done"], {
    stdio: "ignore",
  });
  const first = await until(
    "its PID 1",
    () => {
      const child = childOf(holder.pid ?? 0);
      return commandLine(child)[0] === "bash" && child;
    },
    patience,
  );
  enter = ["nsenter", "--pid", "--mount", "--target", String(first), "--"];
  host.daemon.wrapper = enter;
  await host.daemon.start();
}, 60_000);
afterAll(async () => {
  if (isAlive(daemonPid())) await endDaemon("SIGTERM");
  holder.kill("SIGKILL");
  await until("the namespace ended", () => host.processes().length === 0, patience);
  host.daemon.wrapper = [];
  await host[Symbol.asyncDispose]();
}, 60_000);

const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);

let inner = 0;
/** The daemon's number on the host: nsenter(1) waits for it. */
const daemonPid = (): number => {
  if (isAlive(host.daemon.pid)) inner = childOf(host.daemon.pid);
  return inner;
};
const endDaemon = async (signal: NodeJS.Signals): Promise<void> => {
  const [waiting, pid] = [host.daemon.pid, daemonPid()];
  process.kill(pid, signal);
  await until("the daemon ended", () => !isAlive(pid) && !isAlive(waiting), patience);
};

/** A line of shell in the namespace. */
const inside = (script: string): string => {
  const [program = "", ...rest] = [...enter, "bash", "-c", script];
  return spawnSync(program, rest, { encoding: "utf8" }).stdout.trim();
};
const livesInside = (pid: number): boolean => inside(`kill -0 ${pid} && grep -c sleep /proc/${pid}/comm`) === "1";

/** Somebody who has this number in the namespace; whoever had it before is gone. */
const takeNumber = async (pid: number): Promise<void> => {
  await until(`the number ${pid} is free`, () => inside(`test -e /proc/${pid} || echo free`) === "free", patience);
  await until(
    `somebody has the number ${pid}`,
    () => {
      const got = inside(`echo ${pid - 1} > /proc/sys/kernel/ns_last_pid; sleep 1000 > /dev/null 2>&1 & echo $!`);
      if (got === String(pid)) return true;
      inside(`kill -9 ${got}`);
      return false;
    },
    patience,
  );
};

const unharmed = async (id: string, numbers: number[]): Promise<void> => {
  const alive = () => expect(numbers.map(livesInside)).toEqual(numbers.map(() => true));
  alive();
  for (const pid of numbers) expect((await host.request("GET", `/v1/namespaces?pid=${pid}`)).body.process.sandbox).toBeNull();
  for (const verb of ["stop", "kill"]) {
    expect((await host.request("POST", `/v1/sandboxes/${id}/${verb}`, {})).status).toBe(200);
    alive();
  }
  expect((await host.request("POST", `/v1/sandboxes/${id}/start`, {})).body.status.state).toBe("running");
  expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body).toMatchObject({ complete: true, remaining: [] });
  alive();
  inside(`kill -9 ${numbers.join(" ")}`);
};

it("while no daemon runs: the next one takes nobody for the dead supervisor (check 68)", { timeout: 120_000 }, async () => {
  const { id, supervisor, process: main } = await host.run();
  const launcher = await host.launcherPid();
  await endDaemon("SIGKILL");
  inside(`kill -9 ${launcher} ${supervisor.pid}`);
  await takeNumber(supervisor.pid);
  await takeNumber(main.pid);
  await host.daemon.start();
  expect((await host.reaches(id, "failed", patience)).status.reason).toBe("supervisor-lost");
  await unharmed(id, [supervisor.pid, main.pid]);
});

it("while the daemon stands still: an order that it gives then goes to nobody (check 68)", { timeout: 120_000 }, async () => {
  const { id, supervisor, process: main } = await host.run();
  process.kill(daemonPid(), "SIGSTOP");
  try {
    inside(`kill -9 ${supervisor.pid}`);
    await takeNumber(supervisor.pid);
    await takeNumber(main.pid);
  } finally {
    // nsenter(1) stops with its child, and has to be waked as well.
    for (const pid of [host.daemon.pid, inner]) process.kill(pid, "SIGCONT");
  }
  await unharmed(id, [supervisor.pid, main.pid]);
});
