/** What a sandbox does to the supervisor that guards it: its memory stays bounded, and what its init says can neither hold it up nor lead it astray. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("supervisor", 1_830_000_000);
});
afterAll(() => stage[Symbol.asyncDispose]());

const residentKib = (pid: number): number => Number(statusLine(pid, "VmRSS").split(" ")[0]);
const processorSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const start = async (sandbox: string, script: string) => {
  const { body } = await stage.host.request("POST", `/v1/sandboxes/${sandbox}/processes`, { command: ["/bin/bash", "-c", script] });
  return body;
};

describe("memory of a supervisor", () => {
  it("stays within what output may take, whatever is written or left unreaped inside", { timeout: 120_000 }, async () => {
    const zombies = stage.isLong ? 10_000 : 500;
    const limits = { pids: zombies + 100, openFiles: 6_000, outputBytes: 65_536 };
    const { supervisor } = await stage.sandbox({ name: "heavy", limits });
    const before = residentKib(supervisor.pid);

    const flood = await start("heavy", `head -c ${stage.isLong ? 5_000_000_000 : 300_000_000} /dev/zero`);
    await until("the end of the flood", async () => !isAlive(flood.pid), 60_000);
    expect(residentKib(supervisor.pid) - before).toBeLessThan(4_096);

    const parent = await start("heavy", `for ((i = 0; i < ${zombies}; i++)); do sleep infinity & done; exec sleep 1000`);
    const children = () => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, "utf8").trim().split(" ");
    // A shell would reap them: they end once it is no shell any more.
    const isReady = () => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n" && children().length === zombies;
    await until("all children", isReady, 60_000);
    const made = children();
    for (const child of made) process.kill(Number(child), "SIGKILL");
    await until("all zombies", () => made.every((child) => statusLine(Number(child), "State") === "Z (zombie)"), 60_000);
    expect(residentKib(supervisor.pid) - before).toBeLessThan(4_096);

    expect((await stage.host.request("DELETE", "/v1/sandboxes/heavy")).status).toBe(200);
  });
});

describe("an init that is somebody else's", () => {
  const impostor = join(import.meta.dirname, "../fixtures/init-impostor.pl");
  const note = (kind: number) => Buffer.concat([Buffer.from([kind, 0, 0, 0]), Buffer.alloc(28)]).toString("hex");
  const speak = async (pid: number, hex: string): Promise<string> =>
    (await promisify(execFile)("perl", [impostor, String(pid), hex])).stdout;
  const initOf = (pid: number): number => Number(statusLine(pid, "PPid"));

  it.each([
    ["a note of a kind that comes no more", note(3)],
    ["a note of no kind", note(77)],
    ["less than a note", "01"],
    ["more than a note", "04".repeat(4_000)],
  ])("is heard once: %s", async (_, hex) => {
    const { process: main, supervisor } = await stage.sandbox({ name: "taken" });
    const before = processorSeconds(supervisor.pid);
    // The buffer of a socket takes some before the other end is closed.
    const said = await speak(initOf(main.pid), hex);
    expect(said).toMatch(/^\d+ (Broken pipe|Connection reset by peer)$/m);
    expect(Number(said.split(" ")[0])).toBeLessThan(5_000);
    expect((await stage.host.request("GET", "/v1/sandboxes/taken")).body.status.state).toBe("running");
    const { body } = await stage.host.request("POST", "/v1/sandboxes/taken/processes?wait=true", { command: ["/bin/true"] });
    expect(body.exit).toMatchObject({ reason: "exited", code: 0 });
    expect(processorSeconds(supervisor.pid) - before).toBeLessThan(1);
    // The true end is not told by it any more; that it ended is seen all the same.
    process.kill(main.pid, "SIGKILL");
    await until("its end", async () => (await stage.host.request("GET", "/v1/sandboxes/taken")).body.status.state !== "running", 20_000);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/taken")).status).toBe(200);
  });

  it("can lie about how the command ended, and the sandbox ends by it", async () => {
    const { process: main } = await stage.sandbox({ name: "liar" });
    await speak(initOf(main.pid), note(4));
    await until("its end", async () => (await stage.host.request("GET", "/v1/sandboxes/liar")).body.status.state === "stopped", 20_000);
    expect(isAlive(main.pid)).toBe(false);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/liar")).status).toBe(200);
  });
});
