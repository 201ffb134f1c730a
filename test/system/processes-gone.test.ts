/** What is told to be over has no process of the daemon's left either, however slow that is to exit (strace(1), inject: each exit takes half a second more). */
import { afterAll, beforeAll, expect, it } from "vitest";
import { tracing } from "../fixtures/injection.ts";
import { commandLine } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("processesgone", 1_865_000_000, "--ready-shells", "0");
});
afterAll(() => host[Symbol.asyncDispose]());

const processesOf = (id: string): number[] => host.ownProcesses().filter((pid) => commandLine(pid).join(" ").includes(id));
const create = async (definition: object): Promise<string> => (await host.request("POST", "/v1/sandboxes", definition)).body.id;
const slowly = async (work: () => Promise<void>): Promise<void> => {
  const rules = ["-e", "inject=exit_group:delay_enter=500000"];
  const { trace } = await tracing(await host.launcherPid(), "exit_group", work, rules);
  expect(trace).toContain("exit_group(");
};

it("a start that is refused", { timeout: 60_000 }, async () => {
  const id = await create({ command: ["/not/there"] });
  await slowly(async () => {
    expect((await host.request("POST", `/v1/sandboxes/${id}/start`)).body).toMatchObject({ code: "command-not-found" });
    expect(processesOf(id)).toEqual([]);
  });
});

it("a sandbox that is deleted, one that runs and one at rest", { timeout: 60_000 }, async () => {
  const [running, resting] = [await create({}), await create({})];
  await slowly(async () => {
    for (const id of [running, resting]) await host.request("POST", `/v1/sandboxes/${id}/start`);
    await host.request("POST", `/v1/sandboxes/${resting}/stop`);
    for (const id of [running, resting]) {
      expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body).toMatchObject({ id, complete: true });
      expect(processesOf(id)).toEqual([]);
    }
  });
});
