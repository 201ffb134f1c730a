import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commandLine, inodesOf, isAlive, startTicksOf, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let daemon: SandboxDaemon;
// biome-ignore lint/suspicious/noExplicitAny: tests state the shape of what they look into
let box: any;
const base = "/v1/sandboxes/box/processes";
beforeAll(async () => {
  daemon = await SandboxDaemon.start("processes", 1_710_000_000);
  box = await daemon.run({ name: "box", command: ["sleep", "infinity"], limits: { pids: 512 } });
});
afterAll(() => daemon[Symbol.asyncDispose]());

const exec = (body: object, query = "") => daemon.request("POST", `${base}${query}`, body);
// biome-ignore lint/suspicious/noExplicitAny: see above
const started = async (body: object): Promise<any> => {
  const reply = await exec(body);
  expect(reply.status, reply.text).toBe(201);
  expect(reply.headers["location"]).toBe(`/v1/sandboxes/${box.id}/processes/${reply.body.id}`);
  return reply.body;
};
const get = async (id: string, query = "") => (await daemon.request("GET", `${base}/${id}${query}`)).body;

/** Everything that sets one process apart from another, thread by thread, as the host sees it. */
const confinement = (pid: number) => {
  const lines = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Umask",
    "SigBlk",
    "SigIgn",
  ];
  const threads = readdirSync(`/proc/${pid}/task`).map((tid) =>
    Object.fromEntries(lines.map((line) => [line, statusLine(Number(tid), line)])),
  );
  const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
  return {
    threads,
    limits,
    namespaces: inodesOf(pid),
    cgroups: readFileSync(`/proc/${pid}/cgroup`, "utf8"),
    root: readlinkSync(`/proc/${pid}/root`),
    oom: readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"),
    mounts: readFileSync(`/proc/${pid}/mountinfo`, "utf8"),
    descriptors: readdirSync(`/proc/${pid}/fd`).sort(),
  };
};

describe("a command in a running sandbox", () => {
  it("is told by the numbers of the kernel, and confined like the main process", async () => {
    const process = await started({ command: ["sleep", "100"], labels: { kind: "nap" } });
    const { pid, pidInside, startTicks } = process;
    expect(commandLine(pid)).toEqual(["sleep", "100"]);
    expect(startTicks).toBe(startTicksOf(pid));
    expect(statusLine(pid, "NSpid").split(/\s+/).map(Number)).toEqual([pid, pidInside]);
    expect(confinement(pid)).toEqual(confinement(box.process.pid));
    // A session and a process group of its own, without a terminal (proc_pid_stat(5): fields 5 to 7).
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ").slice(2, 5);
    expect(fields).toEqual([`${pid}`, `${pid}`, "0"]);
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe("/dev/null");
    await daemon.request("DELETE", `${base}/${process.id}`);
    expect(isAlive(pid)).toBe(false);
  });

  it("answers with its exit, output, times and memory where its end is waited for", async () => {
    const { body } = await exec({ script: "echo out; printf '\\377' >&2; exit 7" }, "?wait=true");
    expect(body).toMatchObject({ state: "ended", pid: null, exit: { reason: "exited", code: 7, signal: null } });
    expect(body.output.stdout).toEqual({ data: "out\n", encoding: "utf-8", bytes: 4, truncated: false });
    expect(body.output.stderr).toEqual({ data: "/w==", encoding: "base64", bytes: 1, truncated: false });
    const busy = (await exec({ script: "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done" }, "?wait=true")).body.exit;
    expect(busy.userCpuSeconds).toBeGreaterThan(0.01);
    expect(busy.durationMs).toBeGreaterThanOrEqual(Math.floor(busy.userCpuSeconds * 1000) - 20);
    expect(busy.maxRssBytes).toBeGreaterThan(500_000);
  });

  it("gets environment, working directory and user as asked", async () => {
    const body = {
      command: ["/bin/bash", "-c", 'echo "$K|$PATH|$HOME|$(pwd)|$(id -u):$(id -g)"; env | wc -l'],
      env: { K: "v w" },
      cwd: "/usr",
      user: { uid: 5, gid: 6 },
    };
    const { data } = (await exec(body, "?wait=true")).body.output.stdout;
    expect(data.split("\n")[0]).toBe("v w|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|/|/usr|5:6");
  });

  it("is killed when its time is over, whatever it does with TERM", async () => {
    const { body } = await exec({ script: "trap '' TERM; while :; do sleep 1; done", timeoutSeconds: 0.2 }, "?wait=true");
    expect(body.exit).toMatchObject({ reason: "timed-out", code: null, signal: "SIGKILL" });
    expect(body.exit.durationMs).toBeLessThan(5_000);
  });

  it("goes on when its caller goes away", async () => {
    const { request } = await import("node:http");
    const payload = JSON.stringify({ script: "sleep 0.5; echo survived", labels: { who: "orphan" } });
    const call = request({
      socketPath: daemon.daemon.socket,
      method: "POST",
      path: `${base}?wait=true`,
      headers: { host: "localhost", "content-type": "application/json", "content-length": payload.length },
    });
    call.on("error", () => {});
    call.end(payload);
    const found = async () => (await daemon.request("GET", `${base}?label=who=orphan`)).body.items[0];
    await until("the start", found);
    call.destroy();
    const ended = await until("the end", async () => (await found()).state === "ended" && found());
    expect((await get((await ended).id, "?wait=true")).output.stdout.data).toBe("survived\n");
  });

  it.each([
    [{ command: ["/no/such"] }, "command-not-found", "/command/0", 2],
    [{ command: ["no-such-program"] }, "command-not-found", "/command/0", 2],
    [{ command: ["/etc/passwd"] }, "command-not-executable", "/command/0", 13],
    [{ command: ["/etc"] }, "command-not-executable", "/command/0", 13],
    [{ command: ["true"], cwd: "/no/such" }, "working-directory-invalid", "/cwd", 2],
    [{ command: ["true"], cwd: "/etc/passwd" }, "working-directory-invalid", "/cwd", 20],
    [{ command: ["true"], cwd: "relative" }, "invalid-definition", "/cwd", undefined],
    [{ command: ["true"], script: "true" }, "invalid-definition", "/script", undefined],
    [{}, "invalid-definition", "/command", undefined],
  ])("that cannot be is refused: %j", async (body, code, pointer, errno) => {
    const before = (await daemon.request("GET", `${base}?limit=1000`)).body.items.length;
    const problem = expectProblem(await exec(body), 422);
    expect([problem.code, problem.errors?.[0]?.pointer, problem["errno"]]).toEqual([code, pointer, errno]);
    expect((await daemon.request("GET", `${base}?limit=1000`)).body.items.length).toBe(before);
  });

  it("is not started by a program that exits with 127: that is its exit", async () => {
    const { body } = await exec({ script: "exit 127" }, "?wait=true");
    expect(body.exit).toMatchObject({ reason: "exited", code: 127 });
  });
});

describe("signals", () => {
  it("reach the process by name and number, or its whole group", async () => {
    const script = "trap 'echo usr1' USR1; trap 'echo usr2' USR2; echo ready; while :; do sleep 0.05; done";
    const { id } = await started({ script });
    const output = async () => (await daemon.request("GET", `${base}/${id}/output`)).text;
    await until("ready", async () => (await output()).includes("ready"));
    expect((await daemon.request("POST", `${base}/${id}/signal`, { signal: "SIGUSR1" })).status).toBe(200);
    await until("usr1", async () => (await output()).includes("usr1"));
    expect((await daemon.request("POST", `${base}/${id}/signal`, { signal: 12 })).status).toBe(200);
    await until("usr2", async () => (await output()).includes("usr2"));
    expect(expectProblem(await daemon.request("POST", `${base}/${id}/signal`, { signal: "SIGNOTHING" }), 400).errors?.[0]?.pointer).toBe(
      "/signal",
    );
    expect((await daemon.request("POST", `${base}/${id}/signal`, { signal: "SIGRTMIN+1", group: true })).status).toBe(200);
    expect((await get(id, "?wait=true")).exit).toMatchObject({ reason: "signaled", signal: "SIGRTMIN+1" });
    expectProblem(await daemon.request("POST", `${base}/${id}/signal`, { signal: "TERM" }), 409);
  });

  it("do not end one that ignores TERM; DELETE does, with its group, and may be repeated", async () => {
    const { id, pid } = await started({ script: "trap '' TERM; sleep 1000 & echo ready; wait; wait" });
    const child = await until("the child", () => daemon.pidsInside(box).find((each) => commandLine(each)[1] === "1000"));
    await daemon.request("POST", `${base}/${id}/signal`, { signal: "SIGTERM" });
    await new Promise((next) => setTimeout(next, 100));
    expect(isAlive(pid)).toBe(true);
    const { status, body } = await daemon.request("DELETE", `${base}/${id}`);
    expect([status, body.state, body.exit.signal]).toEqual([200, "ended", "SIGKILL"]);
    await until("the child ends", () => !isAlive(child));
    expect((await daemon.request("DELETE", `${base}/${id}`)).body).toEqual(body);
  });
});

describe("the collection", () => {
  it("has the main process first, pages, and finds by label and state", async () => {
    const { id } = await started({ command: ["sleep", "100"], labels: { wanted: "yes" } });
    const { items } = (await daemon.request("GET", base)).body;
    expect(items[0]).toMatchObject({ id: "main", state: "running", pid: box.process.pid, command: ["sleep", "infinity"] });
    expect((await get("main")).pidInside).toBe(box.process.pidInside);
    const pages: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await daemon.request("GET", `${base}?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`);
      pages.push(...body.items.map((each: { id: string }) => each.id));
      cursor = body.nextCursor;
    }
    expect(pages).toEqual((await daemon.request("GET", `${base}?limit=1000`)).body.items.map((each: { id: string }) => each.id));
    expect((await daemon.request("GET", `${base}?label=wanted=yes`)).body.items.map((each: { id: string }) => each.id)).toEqual([id]);
    expect((await daemon.request("GET", `${base}?state=running`)).body.items.map((each: { id: string }) => each.id)).toEqual(["main", id]);
    await daemon.request("DELETE", `${base}/${id}`);
  });

  it("shows with all=true what lives inside, as the host's /proc has it", async () => {
    const { id, pid } = await started({ command: ["/bin/bash", "-c", "sleep 300 & sleep 301 & wait"] });
    await until("both children", () => daemon.pidsInside(box).filter((each) => /^30[01]$/.test(commandLine(each)[1] ?? "")).length === 2);
    const { alive } = (await daemon.request("GET", `${base}?all=true`)).body;
    expect(alive.map((each: { pid: number }) => each.pid)).toEqual(daemon.pidsInside(box));
    for (const each of alive) {
      expect(each.startTicks).toBe(startTicksOf(each.pid));
      expect(each.parentPid).toBe(Number(statusLine(each.pid, "PPid")));
      expect(each.pidInside).toBe(Number(statusLine(each.pid, "NSpid").split(/\s+/).at(-1)));
    }
    const own = alive.filter((each: { process: string }) => each.process === id);
    expect(own.map((each: { command: string[] }) => each.command.join(" ")).sort()).toEqual([
      "/bin/bash -c sleep 300 & sleep 301 & wait",
      "sleep 300",
      "sleep 301",
    ]);
    expect(alive.find((each: { pid: number }) => each.pid === box.process.pid).process).toBe("main");
    expect(own.find((each: { pid: number }) => each.pid === pid).rssBytes).toBeGreaterThan(100_000);
    await daemon.request("DELETE", `${base}/${id}`);
  });

  it("names what is not there", async () => {
    expect(expectProblem(await daemon.request("GET", `${base}/nobody`), 404).code).toBe("process-not-found");
    await daemon.request("POST", "/v1/sandboxes", { name: "stored" });
    expect(expectProblem(await daemon.request("GET", "/v1/sandboxes/stored/processes/main"), 404).code).toBe("process-not-found");
    expect(expectProblem(await daemon.request("POST", "/v1/sandboxes/stored/processes", { command: ["true"] }), 409)).toMatchObject({
      code: "state-conflict",
      state: "created",
    });
    expect((await daemon.request("GET", "/v1/sandboxes/stored/processes?all=true")).body).toEqual({
      items: [],
      alive: [],
      nextCursor: null,
    });
  });
});

describe("many", () => {
  it("200 at once all run and are told apart", { timeout: 60_000 }, async () => {
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => exec({ script: `echo ${index}; exit ${index % 100}` }, "?wait=60")),
    );
    for (const [index, { status, text, body }] of replies.entries()) {
      expect(status, text).toBe(201);
      expect([body.exit.code, body.output.stdout.data]).toEqual([index % 100, `${index}\n`]);
    }
    expect(new Set(replies.map(({ body }) => body.id)).size).toBe(200);
  });

  it("are bounded by the limit of the sandbox, which is told with the errno", async () => {
    await daemon.run({ name: "small", limits: { pids: 6 } });
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => daemon.request("POST", "/v1/sandboxes/small/processes", { command: ["sleep", "100"] })),
    );
    const refused = replies.filter(({ status }) => status !== 201);
    expect(refused.length).toBeGreaterThan(0);
    for (const reply of refused) expect(expectProblem(reply, 409)).toMatchObject({ code: "process-limit", errno: 11, retryable: true });
    expect((await daemon.request("GET", "/v1/sandboxes/small/processes")).body.items.length).toBe(1 + 8 - refused.length);
    await daemon.request("DELETE", "/v1/sandboxes/small");
  });

  it("are forgotten beyond 256 that ended, the oldest first, told by an event", { timeout: 60_000 }, async () => {
    const { id } = await daemon.run({ name: "busy" });
    const first = (await daemon.request("POST", `/v1/sandboxes/${id}/processes?wait=true`, { command: ["true"] })).body.id;
    for (let round = 0; round < 13; round++)
      await Promise.all(
        Array.from({ length: 20 }, () => daemon.request("POST", `/v1/sandboxes/${id}/processes?wait=true`, { command: ["true"] })),
      );
    const { items } = (await daemon.request("GET", `/v1/sandboxes/${id}/processes?limit=1000`)).body;
    expect(items.length).toBe(257);
    expectProblem(await daemon.request("GET", `/v1/sandboxes/${id}/processes/${first}`), 404);
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  });
});
