/**
 * A call of the kernel fails in the supervisor of a sandbox that runs (strace(1), inject): whoever asked is told so with a documented code, the sandbox goes on,
 * nothing is left behind, and once the call works again so does all else.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { injecting } from "../fixtures/injection.ts";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const patience = 20_000;
let host: SandboxDaemon;
// biome-ignore lint/suspicious/noExplicitAny: a report, whose shape other tests state
let box: any;
let supervisor: number;
beforeAll(async () => {
  host = await SandboxDaemon.start("supervisorerrors", 1_850_000_000, "--ready-shells", "0");
  box = await host.run({ name: "box" });
  supervisor = box.supervisor.pid;
  // Its log is open from the first record on.
  await run("true");
}, 60_000);
afterAll(() => host[Symbol.asyncDispose](), 60_000);

const run = (script: string, more: object = {}) =>
  host.request("POST", "/v1/sandboxes/box/processes?wait=true", { command: ["/bin/bash", "-c", script], ...more });
const descriptors = (): number => readdirSync(`/proc/${supervisor}/fd`).length;

/** The same sandbox, the same supervisor, and no more of it than before. */
const allIsWell = async (before: number): Promise<void> => {
  expect((await run("echo well")).body).toMatchObject({ exit: { reason: "exited", code: 0 }, output: { stdout: { data: "well\n" } } });
  expect((await run("echo well", { tty: true })).body).toMatchObject({ exit: { code: 0 }, output: { stdout: { data: "well\r\n" } } });
  expect((await host.request("GET", "/v1/sandboxes/box/files?path=/")).status).toBe(200);
  const report = await host.report("box");
  expect([report.status.state, report.process.pid, report.supervisor.pid]).toEqual(["running", box.process.pid, supervisor]);
  expect(isAlive(box.process.pid)).toBe(true);
  await until("its descriptors are closed", () => descriptors() <= before, patience);
};

const starts: [string, string, number, string, object?][] = [
  ["clone3", "EAGAIN", 503, "host-exhausted"],
  ["clone3", "ENOMEM", 503, "host-exhausted"],
  ["socketpair", "EMFILE", 503, "host-exhausted"],
  ["pipe2", "ENFILE", 503, "host-exhausted"],
  ["epoll_ctl", "ENOMEM", 503, "host-exhausted"],
  ["clone", "EAGAIN", 503, "host-exhausted"],
  ["fcntl", "EMFILE", 503, "host-exhausted", { tty: true }],
];
it.each(starts)("a command for which %s answers %s", { timeout: 60_000 }, async (call, error, status, code, more = {}) => {
  const before = descriptors();
  const when = error === "EAGAIN" ? "1+" : "1"; // which is tried again
  const { result, injected } = await injecting(supervisor, `${call}:error=${error}:when=${when}`, () => run("true", more));
  expect(injected).toBeGreaterThan(0);
  expect(expectProblem(result, status).code).toBe(code);
  await allIsWell(before);
});

it("a dead child that was missed does not keep a sandbox from ending (checks 44 and 70)", { timeout: 60_000 }, async () => {
  const missed = await host.run({ name: "missed" });
  const { injected } = await injecting(missed.supervisor.pid, "waitid:error=EINTR:when=1+", async () => {
    await host.request("POST", "/v1/sandboxes/missed/processes?wait=true", { command: ["/bin/true"] });
    return host.request("POST", "/v1/sandboxes/missed/kill", {});
  });
  expect(injected).toBeGreaterThan(0);
  await until("nothing of it", async () => [200, 404].includes((await host.request("DELETE", "/v1/sandboxes/missed")).status), patience);
  await until("its supervisor is gone", () => !isAlive(missed.supervisor.pid), patience);
});

it("connections for which accept answers EMFILE wait, take no time of the processor, and are served later", {
  timeout: 60_000,
}, async () => {
  const before = descriptors();
  const { result, injected } = await injecting(supervisor, "accept4:error=EMFILE:when=1+", async () => {
    const asked = host.request("GET", "/v1/sandboxes/box/files?path=/");
    await sleep(1_500);
    return { asked };
  });
  expect(injected).toBeGreaterThan(1);
  expect(injected).toBeLessThan(250); // ten in a second, and the end of a trace takes some
  expect((await result.asked).status).toBe(200);
  await allIsWell(before);
});

/** A command that was there before the trace is not traced with the supervisor; it does its work once it is told to. */
const waiting = async (work: string) => {
  const script = `trap '${work}; exit 3' USR1; echo waits; while :; do read -t 0.05 x; done`;
  const { body } = await host.request("POST", "/v1/sandboxes/box/processes", { command: ["/bin/bash", "-c", script], stdin: true });
  const path = `/v1/sandboxes/box/processes/${body.id}`;
  const output = async () => (await host.request("GET", `${path}/output`)).text;
  await until("its trap", async () => (await output()).includes("waits"), patience);
  const go = async () => {
    await host.request("POST", `${path}/signal`, { signal: "SIGUSR1" });
    await until("its end", () => !isAlive(body.pid), patience);
  };
  const told = () => until("its end is told", async () => (await host.request("GET", path)).body?.exit?.code === 3, patience);
  return { go, told, output };
};

it.each(["EIO", "ENOSPC"])(
  "a log for which write answers %s lacks records, and the output is whole",
  { timeout: 60_000 },
  async (error) => {
    const before = descriptors();
    const command = await waiting(`echo unlogged ${error}`);
    const { injected } = await injecting(supervisor, `write:error=${error}:when=1+`, async () => {
      await command.go();
      await command.told();
    });
    expect(injected).toBeGreaterThan(0);
    expect(await command.output()).toContain(`unlogged ${error}`);
    await run(`echo logged ${error}`);
    const log = (await host.request("GET", "/v1/sandboxes/box/logs", undefined, { accept: "application/octet-stream" })).text;
    expect([log.includes(` ${error}`), log.includes(`logged ${error}`), log.includes(`unlogged ${error}`)]).toEqual([true, true, false]);
    await allIsWell(before);
  },
);

it("memory that cannot be had for output costs output alone", { timeout: 60_000 }, async () => {
  const before = descriptors();
  const command = await waiting("printf -v line %01000d 1; for ((i = 0; i < 2000; i++)); do echo $line; done");
  const limit = (bytes: string) => promisify(execFile)("prlimit", ["--pid", String(supervisor), `--as=${bytes}:`]);
  const size = Number(statusLine(supervisor, "VmSize").split(" ")[0]) * 1_024;
  await limit(String(size + 65_536));
  try {
    await command.go();
  } finally {
    await limit("unlimited");
  }
  await command.told();
  await allIsWell(before);
});
