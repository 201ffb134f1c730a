/** unsharectl as a program would call it: sandboxes, commands in them, and files. */
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { until } from "../fixtures/processes.ts";
import { CommandLine, type Result, unsharectl } from "../fixtures/unsharectl.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.start("unsharectl", 1_960_000_000);
});
afterAll(() => cli[Symbol.asyncDispose]());

const u = (...args: string[]): Promise<Result> => cli.call(args);

describe("sandboxes", () => {
  it("are made, listed, shown, stopped and removed", async () => {
    expect(await u("create", "-n", "made", "-m", "64m", "-l", "team=x", "-e", "A=b", "--ttl", "1h", "--", "/bin/sleep", "1000")).toEqual({
      code: 0,
      stdout: "made\n",
      stderr: "",
    });
    const report = await cli.json("show", "made");
    expect(report.definition).toMatchObject({
      command: ["/bin/sleep", "1000"],
      env: { A: "b" },
      labels: { team: "x" },
      limits: { memoryBytes: 67_108_864 },
      lifetime: { ttlSeconds: 3_600 },
    });
    expect((await cli.json("ls", "-l", "team=x")).map(({ name }: { name: string }) => name)).toEqual(["made"]);
    expect((await u("ls")).stdout).toMatch(
      /^NAME +STATE +PID +ROOT +AGE +COMMAND\n[\s\S]*^made +running +\d+ +default +\d+s +\/bin\/sleep 1000$/m,
    );
    expect((await u("show", "made")).stdout).toContain(`nsenter --target ${report.process.pid}`);
    for (const [verb, state] of [
      ["pause", "paused"],
      ["resume", "running"],
      ["stop", "stopped"],
      ["start", "running"],
      ["kill", "stopped"],
    ] as const) {
      expect((await u(verb, "made")).stdout, verb).toBe("made\n");
      expect((await cli.host.report("made")).status.state).toBe(state);
    }
    expect((await u("rm", "made")).stdout).toMatch(/^made: removed \d+ processes/);
    expect([(await u("rm", "made")).code, (await u("rm", "-f", "made")).code]).toEqual([1, 0]);
  });

  it("share what they are told to share, and take a file for the rest", async () => {
    const file = join(cli.folder, "definition.json");
    writeFileSync(file, JSON.stringify({ limits: { pids: 20 }, labels: { from: "file" } }));
    await u("create", "-n", "filed", "-f", file, "--share", "net", "-m", "1g");
    expect((await cli.json("show", "filed")).definition).toMatchObject({
      limits: { pids: 20, memoryBytes: 1_073_741_824 },
      labels: { from: "file" },
      namespaces: { net: false, pid: true },
    });
    await u("rm", "filed");
  });
});

describe("commands in sandboxes", () => {
  it("pass on stdin, both outputs and the exit code", async () => {
    expect(await u("exec", "box", "bash", "-c", "echo out; echo err >&2; exit 7")).toEqual({ code: 7, stdout: "out\n", stderr: "err\n" });
    expect(await cli.call(["exec", "-i", "box", "cat"], "given\n")).toEqual({ code: 0, stdout: "given\n", stderr: "" });
    expect((await u("exec", "box", "--", "bash", "-c", "kill -TERM $$")).code).toBe(143);
    expect((await u("exec", "-e", "X=y", "-w", "/tmp", "-u", "5:6", "box", "bash", "-c", "echo $X $PWD $(id -u):$(id -g)")).stdout).toBe(
      "y /tmp 5:6\n",
    );
    expect([(await u("exec", "box", "nosuch")).code, (await u("exec", "box", "/etc")).code]).toEqual([127, 126]);
    expect((await u("exec", "--timeout", "0.1s", "box", "sleep", "1000")).code).toBe(137);
  });

  it("run in a sandbox of their own, of which nothing is left", async () => {
    const before = (await cli.json("ls")).length;
    expect(await u("run", "-m", "64m", "--", "bash", "-c", "echo $$; exit 9")).toMatchObject({ code: 9, stdout: "2\n" });
    expect(await cli.call(["run", "-i", "cat"], "x".repeat(300_000))).toMatchObject({ code: 0, stdout: "x".repeat(300_000) });
    // Without -i it has nothing to read, and does not wait for it.
    expect(await u("run", "cat")).toMatchObject({ code: 0, stdout: "" });
    expect((await u("run", "nosuch")).code).toBe(127);
    const filters = [
      "--seccomp",
      "strict",
      "--",
      "bash",
      "-c",
      "while read key value; do [ $key = Seccomp_filters: ] && echo $value; done </proc/self/status; exec 3<>/dev/udp/127.0.0.1/9",
    ];
    expect(await u("run", ...filters)).toMatchObject({ code: 1, stdout: "1\n", stderr: expect.stringContaining("not supported") });
    expect((await u("run", "--seccomp", "none", "bash")).code).toBe(125);
    expect((await cli.json("ls")).length).toBe(before);
  });

  it("are given the signals that unsharectl gets", async () => {
    const child = spawn(
      process.execPath,
      [unsharectl, "exec", "box", "bash", "-c", "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.05; done"],
      {
        env: { PATH: process.env["PATH"], UNSHARED_SOCKET: cli.host.daemon.socket },
      },
    );
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await until("it is ready", () => text.includes("ready"), 25_000);
    child.kill("SIGINT");
    const code = await new Promise((done) => child.once("close", done));
    expect([code, text]).toEqual([5, "ready\ngot\n"]);
  });

  it("go on when they are detached, are listed, and their output is kept", async () => {
    const id = (await u("exec", "-d", "box", "bash", "-c", "echo from detached; exec sleep 1000")).stdout.trim();
    const { items } = await cli.json("ps", "box");
    expect(items.find((each: { id: string }) => each.id === id)).toMatchObject({ state: "running" });
    expect((await u("ps", "box")).stdout).toContain("sleep 1000");
    await until("the log has it", async () => (await u("logs", "-p", id, "box")).stdout === "from detached\n", 25_000);
    expect((await u("logs", "-t", "-p", id, "box")).stdout).toMatch(new RegExp(`^2\\S+Z ${id}  from detached\n$`));
  });
});

describe("cp", () => {
  it("copies files and trees both ways", async () => {
    const [tree, back] = [join(cli.folder, "tree"), join(cli.folder, "back")];
    execFileSync("bash", [
      "-c",
      `mkdir -p ${tree}/sub && head -c 70000 /dev/urandom > ${tree}/sub/data && chmod 750 ${tree}/sub/data && ln -s sub/data ${tree}/link`,
    ]);
    expect(await u("cp", tree, "box:/srv/")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await u("cp", "box:/srv/tree", back)).toEqual({ code: 0, stdout: "", stderr: "" });
    execFileSync("diff", ["-r", tree, back]);
    expect(await u("cp", join(tree, "sub/data"), "box:/new/place/file")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await u("exec", "box", "stat", "-c", "%a %s", "/new/place/file")).stdout).toBe("750 70000\n");
    expect((await u("cp", "box:/new/place/file", cli.folder)).code).toBe(0);
    expect(readFileSync(join(cli.folder, "file"))).toEqual(readFileSync(join(tree, "sub/data")));
    expect((await cli.call(["cp", "-", "box:/piped"], "through")).code).toBe(0);
    expect((await u("cp", "box:/piped", "-")).stdout).toBe("through");
    expect([(await u("cp", "box:/none", cli.folder)).code, (await u("cp", "a", "b")).code]).toEqual([1, 2]);
  });

  it("takes no set-user-id and no owner out of a sandbox", async () => {
    await u("exec", "box", "bash", "-c", "mkdir /bad && touch /bad/x && chown 7:7 /bad/x && chmod 6755 /bad/x");
    const target = join(cli.folder, "bad");
    expect((await u("cp", "box:/bad", target)).code).toBe(0);
    const { mode, uid } = statSync(join(target, "x"));
    expect([mode & 0o7000, uid]).toEqual([0, process.getuid?.()]);
  });
});
