/** One-shot jobs: what goes in and comes out, limits, and that nothing is left on the host. */
import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fingerprint } from "../fixtures/fingerprint.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
let before: string;
beforeAll(async () => {
  host = await SandboxDaemon.start("runs", 1_560_000_000, "--ready-shells", "0", "--run-concurrency", "4", "--run-queue", "100");
  await run({ command: ["/bin/true"], files: { "/x": "" } });
  await until("only the launcher", () => host.processes().length === 1);
  before = fingerprint(host);
});
afterAll(() => host[Symbol.asyncDispose]());

const post = (body: object, query = "?wait=true") => host.request("POST", `/v1/runs${query}`, body);
const bash = (script: string) => ["/bin/bash", "-c", script];

/** Sends it and waits for its end. */
// biome-ignore lint/suspicious/noExplicitAny: tests state the shape of what they look into
async function run(body: object): Promise<any> {
  const { status, body: report, text } = await post(body);
  expect(status, text).toBe(200);
  return report;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("a run", () => {
  it("gets files and stdin, and gives back exit, output, cost and files", async () => {
    const bytes = randomBytes(200_000);
    const report = await run({
      command: bash("read n; sha256sum < /job/in.bin; echo $((n * 2)) >&2; cp /job/in.bin out/a.bin; echo hi > out/b.txt; ./go; exit 7"),
      cwd: "/job",
      stdin: "21\n",
      files: { "/job/in.bin": { base64: bytes.toString("base64") }, "/job/go": { base64: btoa("#!/bin/bash\nid -u\n"), mode: "0755" } },
      collect: ["/job/out/*", "/job/none/*"],
      user: { uid: 1000, gid: 1000 },
      labels: { kind: "first" },
    });
    expect(report).toMatchObject({ state: "ended", reason: "exited", exit: { code: 7, signal: null }, position: null, sandbox: null });
    expect(report.stdout).toMatchObject({ data: `${sha256(bytes)}  -\n1000\n`, encoding: "utf-8", truncated: false });
    expect(report.stderr).toMatchObject({ data: "42\n", bytes: 3 });
    const [a, b, ...more] = report.files;
    expect(a).toMatchObject({ path: "/job/out/a.bin", sizeBytes: bytes.length, encoding: "base64" });
    expect(sha256(Buffer.from(a.data, "base64"))).toBe(sha256(bytes));
    expect([b, more]).toEqual([{ path: "/job/out/b.txt", sizeBytes: 3, data: "hi\n", encoding: "utf-8" }, []]);
    expect(report.cpuSeconds.user + report.cpuSeconds.system).toBeGreaterThan(0);
    expect(report.peakMemoryBytes).toBeGreaterThan(500_000);
    const { items } = (await host.request("GET", "/v1/runs?label=kind=first")).body;
    expect(items.map(({ id }: { id: string }) => id)).toEqual([report.id]);
  });

  it("takes as much as a request may have, as base64 or text, file or stdin", async () => {
    const bytes = randomBytes(11_000_000);
    const text = "é".repeat(500_000);
    const report = await run({
      script: "sha256sum < /job/in.bin; wc -c < /job/in.txt; sha256sum",
      files: { "/job/in.bin": { base64: bytes.toString("base64") }, "/job/in.txt": text },
      stdin: text,
      cwd: "/job",
    });
    expect(report.stdout.data).toBe(`${sha256(bytes)}  -\n1000000\n${sha256(Buffer.from(text))}  -\n`);
  });

  it("names files beyond what fits, and passes over what is no file", async () => {
    const script =
      "mkfifo out/fifo; ln -s /dev/zero out/zero; mkdir -p out/d/e; echo x > out/d/e/f; truncate -s 1T out/huge; ln -s huge out/link";
    const { files } = await run({ script, cwd: "/job", collect: ["/job/out/**/*"], files: { "/job/x": "" } });
    expect(files).toEqual([
      { path: "/job/out/huge", sizeBytes: 2 ** 40, truncated: true, reason: "archive-limit" },
      { path: "/job/out/link", sizeBytes: 2 ** 40, truncated: true, reason: "archive-limit" },
      { path: "/job/out/d/e/f", sizeBytes: 2, data: "x\n", encoding: "utf-8" },
    ]);
  });

  it("costs what all of its processes cost, also those that nobody waits for", async () => {
    // The shell that works is init's child by then. It says itself what it took, in 1/100 s, and how large it was, in KiB.
    const script = `
      work() {
        x=; printf -v x '%*s' 50000000 x; for ((i = 0; i < 200000; i++)); do :; done
        while read -r key value _; do if [ "$key" = VmHWM: ]; then size=$value; fi; done </proc/$BASHPID/status
        read -r line </proc/$BASHPID/stat; set -- \${line##*) }; echo "\${12} \${13} $size" >/job/out/new; mv /job/out/new /job/out/cost
      }
      (work & ); until [ -e /job/out/cost ]; do sleep 0.02; done`;
    const report = await run({ command: bash(script), collect: ["/job/out/cost"] });
    expect(report).toMatchObject({ reason: "exited", exit: { code: 0 }, countedBy: { cpu: "cgroup", memory: "cgroup" } });
    const [user, system, size] = report.files[0].data.split(" ").map(Number);
    expect(size * 1024).toBeGreaterThan(50_000_000);
    expect(user + system).toBeGreaterThan(5);
    const total = report.cpuSeconds.user + report.cpuSeconds.system;
    expect(total).toBeGreaterThanOrEqual((user + system - 2) / 100);
    expect(total).toBeLessThan(report.wallSeconds * 4);
    expect(report.peakMemoryBytes).toBeGreaterThan(50_000_000);
  });

  it("is ended at its time limit, also where it ignores TERM and has children", async () => {
    const report = await run({ script: "trap '' TERM; sleep 60 & sleep 60", timeoutSeconds: 0.3 });
    expect(report).toMatchObject({ reason: "timed-out", exit: { code: null, signal: "SIGKILL" } });
    expect([report.wallSeconds >= 0.3, report.wallSeconds < 5]).toEqual([true, true]);
  });

  it("is ended at its memory limit", async () => {
    const report = await run({ command: bash("x=aaaaaaaa; while :; do x=$x$x; done"), limits: { memoryBytes: 33_554_432 } });
    expect(report).toMatchObject({ state: "ended", reason: "out-of-memory", exit: { signal: "SIGKILL" } });
    expect(report.peakMemoryBytes).toBeLessThan(40_000_000);
  });

  it("is ended when it writes more than it may, and the first bytes are there", async () => {
    const { reason, stdout } = await run({ script: "while :; do echo 0123456; done", limits: { outputBytes: 8_192 }, timeoutSeconds: 20 });
    expect(reason).toBe("output-limit");
    expect(stdout).toMatchObject({ bytes: 8_192, truncated: true, data: "0123456\n".repeat(1_024) });
  });

  it("may leave what it likes running, and not read its stdin", async () => {
    const script = "exec 0<&-; for i in 1 2 3; do setsid sleep 600 >/dev/null 2>&1 & done; kill -USR1 $$";
    expect(await run({ script, stdin: "x".repeat(300_000) })).toMatchObject({
      reason: "signaled",
      exit: { code: null, signal: "SIGUSR1" },
    });
  });

  it("that leaves as many processes as it may is collected from all the same, and they are gone with it", async () => {
    // Where it can fork no more, this shell gives up; bash would try again for 15 s.
    const script = "echo here > out/x; while :; do sleep 600 >/dev/null 2>&1 & done";
    const job = { script, cwd: "/job", files: { "/job/a": "" }, collect: ["/job/out/x"], limits: { pids: 16 } };
    const report = await run(job);
    expect(report).toMatchObject({ state: "ended", reason: "exited", problem: null, files: [{ data: "here\n" }] });
    expect(report.stderr.data).toContain("fork");
    await until("only the launcher", () => host.processes().length === 1);
  });

  it("that cannot begin is a problem where it is waited for, else it has failed with the same", async () => {
    const refused = await post({ command: ["/nope"] });
    expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([422, "command-not-found", "/command/0"]);
    const taken = await post({ command: ["/nope"] }, "");
    expect([taken.status, taken.headers["location"]]).toEqual([202, `/v1/runs/${taken.body.id}`]);
    const { body } = await host.request("GET", `/v1/runs/${taken.body.id}?wait=true`);
    expect(body).toMatchObject({ state: "failed", reason: null, problem: { code: "command-not-found", status: 422 } });
  });

  it("that makes no sense is refused at once", async () => {
    const input = { command: ["x"], script: "y", files: { "/a/../b": "" }, collect: ["out"] };
    const { status, body } = await post(input);
    expect([status, body.errors.map(({ pointer }: { pointer: string }) => pointer)]).toEqual([422, ["/files/~1a~1..~1b", "/collect/0"]]);
    expect((await post({ root: "none", script: "true" })).body).toMatchObject({ code: "root-not-found" });
    const batch = await host.request("POST", "/v1/runs/batch", { runs: [{ script: "true" }, { cwd: "x", script: "true" }] });
    expect([batch.status, batch.body.errors[0].pointer]).toEqual([422, "/runs/1/cwd"]);
  });

  it("goes on when its caller goes away", async () => {
    const request = httpRequest({
      socketPath: host.daemon.socket,
      method: "POST",
      path: "/v1/runs?wait=true",
      headers: { host: "localhost" },
    });
    request.on("error", () => {});
    request.setHeader("content-type", "application/json");
    request.end(JSON.stringify({ script: "sleep 0.3; echo on", labels: { kind: "left" } }));
    const find = async () => (await host.request("GET", "/v1/runs?label=kind=left")).body.items[0];
    const { id } = await until("the run", async () => ((await find())?.state === "running" ? find() : null));
    request.destroy();
    const { body } = await host.request("GET", `/v1/runs/${id}?wait=10`);
    expect(body).toMatchObject({ state: "ended", stdout: { data: "on\n" } });
  });

  it("is cancelled, whether it waits or is under way, and stays cancelled", async () => {
    const script = "sleep 60";
    const { body } = await host.request("POST", "/v1/runs/batch", { runs: Array.from({ length: 6 }, () => ({ script })) });
    const ids: string[] = body.items.map(({ id }: { id: string }) => id);
    await until("four sandboxes", async () => (await host.request("GET", "/v1/sandboxes?state=running")).body.items.length === 4);
    const last = (await host.request("GET", `/v1/runs/${ids[5]}`)).body;
    expect([last.state, last.position]).toEqual(["queued", 2]);
    for (const id of ids.toReversed()) expect((await host.request("DELETE", `/v1/runs/${id}`)).body.state).toBe("cancelled");
    expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
    expect((await host.request("DELETE", `/v1/runs/${ids[0]}`)).body.state).toBe("cancelled");
  });

  it("is one of a hundred in flight, each with its own answer, and the next one finds no room", async () => {
    const all = Promise.all(Array.from({ length: 100 }, (_, n) => run({ script: `cat; echo ${n}`, stdin: `in ${n} ` })));
    const many = Array.from({ length: 100 }, () => ({ script: "true" }));
    const full = await host.request("POST", "/v1/runs/batch", { runs: many });
    expect([full.status, full.body.code, full.headers["retry-after"]]).toEqual([429, "run-queue-full", "1"]);
    for (const [n, { reason, stdout }] of (await all).entries()) expect([reason, stdout.data]).toEqual(["exited", `in ${n} ${n}\n`]);
  });

  it("is one of a hundred in flight that all end in another way, each with its own answer", async () => {
    const memory = { limits: { memoryBytes: 33_554_432 } };
    const kinds: ((n: number) => [object, object])[] = [
      (n) => [{ script: `echo ${n}; exit ${n % 50}` }, { reason: "exited", exit: { code: n % 50 }, stdout: { data: `${n}\n` } }],
      (n) => [
        { script: `echo ${n}; sleep 60 & sleep 60`, timeoutSeconds: 0.2 },
        { reason: "timed-out", exit: { code: null, signal: "SIGKILL" }, stdout: { data: `${n}\n` } },
      ],
      () => [
        { command: bash("x=aaaaaaaa; while :; do x=$x$x; done"), ...memory },
        { reason: "out-of-memory", exit: { signal: "SIGKILL" } },
      ],
      (n) => [
        { script: `while :; do echo ${1_000_000 + n}; done`, limits: { outputBytes: 4_096 } },
        { reason: "output-limit", stdout: { bytes: 4_096, truncated: true, data: `${1_000_000 + n}\n`.repeat(512) } },
      ],
      () => [{ script: "kill -USR2 $$" }, { reason: "signaled", exit: { code: null, signal: "SIGUSR2" } }],
      (n) => [
        { script: `echo ${n} >/job/x`, collect: ["/job/x"] },
        { reason: "exited", exit: { code: 0 }, files: [{ data: `${n}\n` }] },
      ],
    ];
    const jobs = Array.from({ length: 100 }, (_, n) => (kinds[n % kinds.length] as (n: number) => [object, object])(n));
    const reports = await Promise.all(jobs.map(([job]) => run({ timeoutSeconds: 60, ...job })));
    for (const [n, report] of reports.entries())
      expect(report, `${n}`).toMatchObject({ state: "ended", problem: null, sandbox: null, ...jobs[n]?.[1] });
    expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
  });

  it("leaves the host as it was, byte for byte (check 74)", async () => {
    await until("only the launcher", () => host.processes().length === 1);
    expect(fingerprint(host)).toBe(before);
  });
});

describe("when the daemon is killed", () => {
  it("what was under way has failed and is removed, what waited runs, what was over is kept", async () => {
    const { id: over } = await run({ script: "echo kept" });
    const long = { script: "sleep 600", timeoutSeconds: 600 };
    const runs = [long, long, long, long, { script: "echo later" }];
    const ids: string[] = (await host.request("POST", "/v1/runs/batch", { runs })).body.items.map(({ id }: { id: string }) => id);
    await until("four sandboxes", async () => (await host.request("GET", "/v1/sandboxes?state=running")).body.items.length === 4);
    await host.daemon.end("SIGKILL");
    await host.daemon.start();
    const find = async (id: string | undefined) => (await host.request("GET", `/v1/runs/${id}?wait=10`)).body;
    for (const id of ids.slice(0, 4)) expect(await find(id)).toMatchObject({ state: "failed", problem: { code: "run-interrupted" } });
    expect(await find(ids[4])).toMatchObject({ state: "ended", stdout: { data: "later\n" } });
    expect(await find(over)).toMatchObject({ state: "ended", stdout: { data: "kept\n" } });
    expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
    await until("only the launcher", () => host.processes().length === 1);
  });
});
