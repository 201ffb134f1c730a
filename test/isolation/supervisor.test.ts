/** What a sandbox does to the supervisor that guards it: its memory stays bounded. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { slowness } from "../fixtures/slowness.ts";
import { expectProblem } from "../http/expect-problem.ts";
import { Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("supervisor", 1_830_000_000);
});
afterAll(() => stage[Symbol.asyncDispose]());

const residentKib = (pid: number): number => Number(statusLine(pid, "VmRSS").split(" ")[0]);
const start = async (sandbox: string, script: string) => {
  const { body } = await stage.host.request("POST", `/v1/sandboxes/${sandbox}/processes`, { command: ["/bin/bash", "-c", script] });
  return body;
};

describe("memory of a supervisor", () => {
  it("stays within what output may take, whatever is written or left unreaped inside", { timeout: 120_000 * slowness }, async () => {
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

  it("stays where it was with as many terminals as may be open, more asked for, and thousands before", {
    timeout: 200_000 * slowness,
  }, async () => {
    const { supervisor } = await stage.sandbox({ name: "terminals", limits: { pids: 600, outputBytes: 65_536 } });
    const descriptors = () => readdirSync(`/proc/${supervisor.pid}/fd`).length;
    const memory = residentKib(supervisor.pid);
    const path = "/v1/sandboxes/terminals/processes";
    const terminal = (command: string[], query = "") => stage.host.request("POST", `${path}${query}`, { command, tty: true });

    for (let left = stage.isLong ? 5_000 : 60; left > 0; left -= 4)
      for (const { body } of await Promise.all(Array.from({ length: 4 }, () => terminal(["/bin/true"], "?wait=true"))))
        expect(body.exit).toMatchObject({ code: 0 });
    const opened = descriptors();
    const replies = await Promise.all(Array.from({ length: 300 }, () => terminal(["/bin/sleep", "1000"])));
    const refused = replies.filter(({ status }) => status !== 201);
    expect(refused).toHaveLength(300 - 256);
    for (const reply of refused) expect(expectProblem(reply, 409)).toMatchObject({ code: "process-limit", errno: 28, retryable: true });
    expect(residentKib(supervisor.pid) - memory).toBeLessThan(4_096);

    for (const { body } of replies.filter(({ status }) => status === 201)) process.kill(body.pid, "SIGKILL");
    await until("hardly more descriptors than before", () => descriptors() <= opened + 4, 20_000);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/terminals")).status).toBe(200);
  });
});

describe("a file agent", () => {
  it("does not look for ever for a file that somebody inside holds a lease on", { timeout: 120_000 * slowness }, async () => {
    await stage.sandbox({ name: "leased", command: ["/probes/lease", "/leased"] });
    await until("the lease", async () => (await stage.logOf("leased")).includes("lease: "), 20_000);
    expect(await stage.logOf("leased")).toContain("lease: ok");
    const files = "/v1/sandboxes/leased/files?path=/leased";
    const begun = performance.now();
    expect(expectProblem(await stage.host.request("GET", files), 503)).toMatchObject({ code: "files-busy", errno: 11, retryable: true });
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect((await stage.host.request("DELETE", "/v1/sandboxes/leased")).status).toBe(200);
  });
});
