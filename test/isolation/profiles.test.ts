/** Seccomp profiles of a definition: what the kernel holds of them, for every process of the sandbox, and who may change them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { TokenClient } from "../http/token-client.ts";
import { statusOf } from "../supervisor/witness.ts";
import { decide, filterOf } from "./filter.ts";
import { Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("profiles", 1_870_000_000);
});
afterAll(() => stage[Symbol.asyncDispose]());

const numbers = new Map(
  readFileSync(join(import.meta.dirname, "golden/syscalls.txt"), "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .map(([number, name = ""]) => [name, Number(number)] as const),
);
const decisionOf = (pid: number, call: string): string => decide(filterOf(pid), "x86-64", numbers.get(call) as number);
const make = (definition: object) => stage.host.request("POST", "/v1/sandboxes?start=true", { root: "probes", ...definition });
/** A process that sleeps, started in a running sandbox. */
const startIn = async (sandbox: string): Promise<number> => {
  const { body } = await stage.host.request("POST", `/v1/sandboxes/${sandbox}/processes`, { command: ["/bin/sleep", "1000"] });
  return body.pid;
};
const stdoutOf = async (sandbox: string, script: string): Promise<string> => {
  const command = ["/bin/bash", "-c", script];
  return (await stage.host.request("POST", `/v1/sandboxes/${sandbox}/processes?wait=true`, { command })).body.output.stdout.data;
};

describe.skipIf(process.arch !== "x64")("a seccomp profile", () => {
  it("strict: computation goes on, and no socket but of AF_UNIX is to be had (check 18)", async () => {
    const report = await stage.sandbox({ name: "closed", seccomp: "strict" });
    expect((await stage.host.request("GET", "/v1/sandboxes/closed")).body.definition.seccomp).toBe("strict");
    // The whole pipe of a shell: fork, exec, files, signals.
    expect(
      await stdoutOf("closed", "mkdir /d && echo a b >/d/f && cat /d/f | head -c 3; sleep 0.01 & wait $!; kill -0 $$ && echo $?"),
    ).toBe("a b0\n");
    const families = (await stdoutOf("closed", "/probes/sockets")).split("\n").filter((line) => line.startsWith("family "));
    expect(families.filter((line) => line.endsWith("ok"))).toHaveLength(1);
    expect(families.length).toBeGreaterThan(40);
    const exec = await startIn("closed");
    // The init, the main process, one that came later.
    const filter = filterOf(report.process.pid);
    for (const pid of [Number(statusOf(report.process.pid)["PPid"]), exec]) expect(filterOf(pid)).toEqual(filter);
    expect(filter).not.toEqual(filterOf(stage.box.process.pid));
    // Its files are reached all the same.
    expect((await stage.host.request("GET", "/v1/sandboxes/closed/files?path=/d/f")).text).toBe("a b\n");
    await stage.host.request("DELETE", "/v1/sandboxes/closed");
  });

  it("with changes: they hold for the main process, the init and what is started later, and stay when it is stopped", async () => {
    const seccomp = { profile: "default", allow: ["ptrace"], deny: ["mkdir", "mkdirat", "socket"] };
    const report = await stage.sandbox({ name: "changed", seccomp });
    expect(report.definition?.seccomp ?? (await stage.host.request("GET", "/v1/sandboxes/changed")).body.definition.seccomp).toEqual(
      seccomp,
    );
    const exec = await startIn("changed");
    for (const pid of [report.process.pid, Number(statusOf(report.process.pid)["PPid"]), exec]) {
      expect(decisionOf(pid, "ptrace")).toBe("allow");
      expect(decisionOf(pid, "mkdirat")).toBe("EPERM");
      expect(decisionOf(pid, "socket")).toBe("EPERM");
      expect(decisionOf(pid, "io_uring_setup")).toBe("EPERM");
      expect(decisionOf(pid, "rmdir")).toBe("allow");
    }
    expect(decisionOf(stage.box.process.pid, "ptrace")).toBe("EPERM");
    expect(await stdoutOf("changed", "mkdir /x 2>&1; true")).toContain("Operation not permitted");
    await stage.host.request("POST", "/v1/sandboxes/changed/kill");
    const again = (await stage.host.request("POST", "/v1/sandboxes/changed/start")).body;
    expect(decisionOf(again.process.pid, "mkdirat")).toBe("EPERM");
    await stage.host.request("DELETE", "/v1/sandboxes/changed");
  });

  it("strict with changes: what default allows can be given back", async () => {
    const report = await stage.sandbox({ name: "mixed", seccomp: { profile: "strict", allow: ["inotify_init1", "io_uring_setup"] } });
    expect(decisionOf(report.process.pid, "inotify_init1")).toBe("allow");
    expect(decisionOf(report.process.pid, "io_uring_setup")).toBe("allow");
    expect(decisionOf(report.process.pid, "inotify_init")).toBe("ENOSYS");
    await stage.host.request("DELETE", "/v1/sandboxes/mixed");
  });

  it("never opens what makes namespaces and mounts, and never closes what starts the command (check 18)", async () => {
    for (const [seccomp, pointer] of [
      [{ allow: ["ptrace", "mount"] }, "/seccomp/allow/1"],
      [{ allow: ["clone3"] }, "/seccomp/allow/0"],
      [{ allow: ["no_such_call"] }, "/seccomp/allow/0"],
      [{ deny: ["execve"] }, "/seccomp/deny/0"],
      [{ allow: ["bpf"], deny: ["mkdir", "bpf"] }, "/seccomp/deny/1"],
    ] as const) {
      const { status, body } = await make({ seccomp });
      expect({ status, code: body.code, pointers: body.errors?.map((fault: { pointer: string }) => fault.pointer) }).toEqual({
        status: 422,
        code: "invalid-definition",
        pointers: [pointer],
      });
    }
    expect((await make({ seccomp: "none" })).status).toBe(400);
  });

  it("is changed by an administrator only; to be stricter needs none", async () => {
    const token = await TokenClient.make(stage.host.daemon, { name: "runner", scopes: ["run"] });
    const refused = await token.request("POST", "/v1/sandboxes", { root: "probes", seccomp: { deny: ["mkdir"] } });
    expect(refused).toMatchObject({ status: 403, body: { code: "forbidden", errors: [{ pointer: "/seccomp" }] } });
    expect((await token.request("POST", "/v1/sandboxes", { root: "probes", name: "own", seccomp: "strict" })).status).toBe(201);
    expect((await token.request("DELETE", "/v1/sandboxes/own")).status).toBe(200);
  });

  describe("of a run", () => {
    const send = (input: object) => stage.host.request("POST", "/v1/runs", { root: "probes", ...input });
    /** A run that sleeps, once its command does: the pid on the host, and how to end it. */
    const sleeping = async (seccomp: unknown) => {
      const { status, body } = await send({ command: ["/bin/sleep", "60"], ...(seccomp === undefined ? {} : { seccomp }) });
      expect(status).toBe(202);
      const pid = await until(
        "its command",
        async () => {
          const { sandbox } = (await stage.host.request("GET", `/v1/runs/${body.id}`)).body;
          if (sandbox === null) return false;
          const { items } = (await stage.host.request("GET", `/v1/sandboxes/${sandbox}/processes`)).body;
          return items?.find(({ command }: { command: string[] }) => command[0] === "/bin/sleep")?.pid ?? false;
        },
        20_000,
      );
      return { pid: pid as number, end: () => stage.host.request("DELETE", `/v1/runs/${body.id}`) };
    };

    it("is the one that a sandbox has by the same name, and default where none is named", async () => {
      const strict = await stage.sandbox({ name: "closed", seccomp: "strict" });
      for (const [seccomp, like] of [
        [undefined, stage.box.process.pid],
        ["default", stage.box.process.pid],
        ["strict", strict.process.pid],
      ] as const) {
        const run = await sleeping(seccomp);
        expect([statusOf(run.pid)["Seccomp"], statusOf(run.pid)["NoNewPrivs"]]).toEqual(["2", "1"]);
        expect(filterOf(run.pid)).toEqual(filterOf(like));
        await run.end();
      }
      expect(filterOf(strict.process.pid)).not.toEqual(filterOf(stage.box.process.pid));
      await stage.host.request("DELETE", "/v1/sandboxes/closed");
    });

    it("holds for what it tries: strict lets it have no socket but of AF_UNIX", async () => {
      const families = async (seccomp: string) => {
        const command = ["/bin/bash", "-c", "/probes/sockets"];
        const { body } = await stage.host.request("POST", "/v1/runs?wait=true", { root: "probes", command, seccomp });
        return (body.stdout.data as string).split("\n").filter((line) => line.startsWith("family ") && line.endsWith("ok")).length;
      };
      expect(await families("strict")).toBe(1);
      expect(await families("default")).toBeGreaterThan(1);
    });

    it("with changes is an administrator's, alone and in a batch", async () => {
      const seccomp = { allow: ["ptrace"], deny: ["mkdir", "mkdirat"] };
      const run = await sleeping(seccomp);
      expect(["ptrace", "mkdirat", "rmdir"].map((call) => decisionOf(run.pid, call))).toEqual(["allow", "EPERM", "allow"]);
      await run.end();
      const token = await TokenClient.make(stage.host.daemon, { name: "submitter", scopes: ["run"] });
      const input = { command: ["/bin/true"], seccomp };
      const alone = await token.request("POST", "/v1/runs", { root: "probes", ...input });
      expect(alone).toMatchObject({ status: 403, body: { code: "forbidden", errors: [{ pointer: "/seccomp" }] } });
      const batch = { root: "probes", runs: [{ command: ["/bin/true"] }, input] };
      const together = await token.request("POST", "/v1/runs/batch", batch);
      expect(together).toMatchObject({ status: 403, body: { code: "forbidden", errors: [{ pointer: "/runs/1/seccomp" }] } });
      const stricter = await token.request("POST", "/v1/runs?wait=true", { root: "probes", command: ["/bin/true"], seccomp: "strict" });
      expect(stricter).toMatchObject({ status: 200, body: { exit: { code: 0 } } });
      const wrong = await send({ command: ["/bin/true"], seccomp: { allow: ["mount"] } });
      expect(wrong).toMatchObject({ status: 422, body: { code: "invalid-definition", errors: [{ pointer: "/seccomp/allow/0" }] } });
      expect((await send({ command: ["/bin/true"], seccomp: "none" })).status).toBe(400);
    });
  });
});
