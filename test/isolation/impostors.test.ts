/**
 * Somebody who speaks in the name of a sandbox's init, or of the process that enters for a command: what is said can neither hold the supervisor up nor lead it
 * astray. How one would come to that is nobody's business here: a program of the host's root takes their ends of the channels (impostor.pl).
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { injecting } from "../fixtures/injection.ts";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { expectProblem } from "../http/expect-problem.ts";
import { Stage } from "./stage.ts";

const patience = 20_000;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("impostors", 1_840_000_000);
});
afterAll(() => stage[Symbol.asyncDispose]());

const processorSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const children = (pid: number): number[] => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
const speak = async (...words: (string | number)[]): Promise<string> =>
  (await promisify(execFile)("perl", [join(import.meta.dirname, "../fixtures/impostor.pl"), ...words.map(String)])).stdout;
const initOf = (pid: number): number => Number(statusLine(pid, "PPid"));
const exec = (sandbox: string, order: object) => stage.host.request("POST", `/v1/sandboxes/${sandbox}/processes?wait=true`, order);

describe("an init that is somebody else's", () => {
  /** As struct last_word has it: status, time used, and memory. */
  const word = (status: number, figure = 0n): string => {
    const bytes = Buffer.alloc(32);
    bytes.writeInt32LE(status);
    for (const at of [8, 16, 24]) bytes.writeBigUInt64LE(figure, at);
    return bytes.toString("hex");
  };

  it.each([
    ["an end that no process has", word(0x7f)],
    ["a signal that there is not", word(100)],
    ["less than a word", "ff"],
    ["more than a word", "ff".repeat(4_000)],
  ])("is heard once: %s", async (_, hex) => {
    const { process: main, supervisor } = await stage.sandbox({ name: "taken" });
    const before = processorSeconds(supervisor.pid);
    // The pipe takes some before its other end is closed.
    expect(await speak(initOf(main.pid), "pipe", hex)).toMatch(/^\d{1,5} Broken pipe$/m);
    expect((await stage.host.request("GET", "/v1/sandboxes/taken")).body.status.state).toBe("running");
    expect((await exec("taken", { command: ["/bin/true"] })).body.exit).toMatchObject({ reason: "exited", code: 0 });
    expect(processorSeconds(supervisor.pid) - before).toBeLessThan(1);
    // The true end is not told by it any more; that it ended is seen all the same.
    process.kill(main.pid, "SIGKILL");
    await until("its end", async () => (await stage.host.request("GET", "/v1/sandboxes/taken")).body.status.state !== "running", patience);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/taken")).status).toBe(200);
  });

  it("can send no descriptors", async () => {
    const { process: main } = await stage.sandbox({ name: "mute" });
    await expect(speak(initOf(main.pid), "socket", "01", main.pid)).rejects.toThrow("no socket");
    expect((await stage.host.request("DELETE", "/v1/sandboxes/mute")).status).toBe(200);
  });

  it("can lie about how the command ended, and the sandbox ends by it", async () => {
    const { process: main } = await stage.sandbox({ name: "liar" });
    await speak(initOf(main.pid), "pipe", word(7 << 8, 2n ** 64n - 1n));
    const { exit } = await stage.host.reaches("liar", "stopped", patience);
    expect(exit).toMatchObject({ reason: "exited", code: 7, userCpuSeconds: 999_999_999.999_999, maxRssBytes: 999_999_999_999_999 });
    expect(isAlive(main.pid)).toBe(false);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/liar")).status).toBe(200);
  });
});

describe("a process that enters for a command and is somebody else's", () => {
  const note = (kind: number) => Buffer.from([kind, 0, 0, 0]).toString("hex");
  /** The one that has the sandbox's ids already, and none of the supervisor's descriptors any more. */
  const entering = (supervisor: number, init: number, sibling: number): Promise<number> =>
    until(
      "one that enters",
      () => {
        return children(supervisor).find((pid) => pid !== init && pid !== sibling && /^[1-9]/.test(statusLine(pid, "Uid")));
      },
      patience,
    );

  it("does not hold the supervisor up when it stays", { timeout: 60_000 }, async () => {
    const { supervisor } = await stage.sandbox({ name: "stays" });
    const { result } = await injecting(supervisor.pid, "exit_group:delay_enter=120000000", async () => {
      const started = stage.host.request("POST", "/v1/sandboxes/stays/processes", { command: ["/bin/sleep", "infinity"] });
      await until("the command", () => children(supervisor.pid).some((pid) => statusLine(pid, "Name") === "sleep"), patience);
      const signal = { signal: "SIGUSR1" };
      for (let n = 0; n < 50; n += 1)
        expect((await stage.host.request("POST", "/v1/sandboxes/stays/processes/main/signal", signal)).status).toBe(200);
      return { started };
    });
    const { status, body } = await result.started;
    expect([status, isAlive(body.pid)]).toEqual([201, true]);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/stays")).body).toMatchObject({ complete: true });
  });

  it.each([
    ["names the init as the command", note(3), "init", false],
    ["names another's child as the command", note(3), "main", false],
    ["names a command that is known as the command", note(3), "sibling", false],
    ["hands over what is no terminal", note(2), "main", true],
    ["hands over a terminal that nobody wants", note(2), "main", false],
    ["says what nobody understands", note(77), "main", false],
    ["says too little", "03", "main", false],
    ["says too much", note(3).repeat(2), "main", false],
  ] as const)("is stopped when it %s", { timeout: 60_000 }, async (_, hex, whom, tty) => {
    const { process: main, supervisor } = await stage.sandbox({ name: "entered" });
    const init = initOf(main.pid);
    const { body: sibling } = await stage.host.request("POST", "/v1/sandboxes/entered/processes", { command: ["/bin/sleep", "infinity"] });
    // Its log is open from the first record on.
    await exec("entered", { command: ["/bin/true"] });
    const before = descriptors(supervisor.pid);
    const { result } = await injecting(supervisor.pid, "clone:delay_enter=120000000", async () => {
      const started = exec("entered", { command: ["/bin/true"], tty });
      const stub = await entering(supervisor.pid, init, sibling.pid);
      await speak(stub, "socket", hex, { init, main: main.pid, sibling: sibling.pid }[whom]);
      return { reply: await started, stub };
    });
    const problem = expectProblem(result.reply, 500);
    expect([problem.code, problem.detail]).toEqual(["launch-failed", expect.stringContaining("says something else")]);
    // Its tracer has let it go by now.
    await until("its end", () => !isAlive(result.stub), patience);
    for (const pid of [init, main.pid, sibling.pid]) expect(isAlive(pid)).toBe(true);
    expect((await exec("entered", { command: ["/bin/true"] })).body.exit).toMatchObject({ reason: "exited", code: 0 });
    await until("its descriptors are closed", () => descriptors(supervisor.pid) <= before, patience);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/entered")).body).toMatchObject({ complete: true });
  });
});
