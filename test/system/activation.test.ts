/** A daemon whose unix socket is held by a service manager (systemd.socket(5)). */
import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";

const holder = resolve(import.meta.dirname, "../fixtures/socket-holder.pl");
let directory: string;
let socketPath: string;
let daemon: Daemon;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "unshared-activation-"));
  socketPath = join(directory, "held.sock");
  daemon = await Daemon.startUnder(["perl", holder, socketPath], 0, "--default-root", "off");
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** Status of one request on a connection of its own, or the code of what went wrong. */
const ask = (): Promise<number | string> =>
  new Promise((done) => {
    const options = { socketPath, path: "/v1/info", headers: { host: "localhost" }, agent: false };
    httpRequest(options, (response) => response.resume().on("end", () => done(response.statusCode ?? 0)))
      .on("error", ({ code }: NodeJS.ErrnoException) => done(code ?? "unknown"))
      .end();
  });
/** The daemon's own pid, each time it has listened. */
const starts = () => daemon.log.filter(({ msg }) => msg === "listening") as { pid: number; socket: string }[];

it("serves the socket that was handed over, whose callers have the admin scope, and makes none of its own", async () => {
  expect(starts().at(-1)).toMatchObject({ socket: "handed over" });
  expect(await ask()).toBe(200);
  expect(readdirSync(join(daemon.directory, "run"))).not.toContain("unshared.sock");
});

it("keeps the socket from what it starts", async () => {
  const { pid } = starts().at(-1) as { pid: number };
  const held = readlinkSync(`/proc/${pid}/fd/3`);
  expect(held).toMatch(/^socket:/);
  const launcher = daemon.log.map(({ launcherPid }) => launcherPid).find((each) => typeof each === "number");
  const descriptors = readdirSync(`/proc/${launcher}/fd`).map((fd) => readlinkSync(`/proc/${launcher}/fd/${fd}`));
  expect(descriptors).not.toContain(held);
});

it.each(["SIGTERM", "SIGKILL"] as const)("refuses no connection while it is ended by %s and started anew", async (signal) => {
  const before = starts().length;
  const answers: (number | string)[] = [];
  let over = false;
  const asking = Array.from({ length: 4 }, async () => {
    while (!over) answers.push(await ask());
  });
  process.kill(starts().at(-1)?.pid ?? 0, signal);
  await until("the next one", () => starts().length > before, 20_000);
  const count = answers.length;
  await until("answers of the next one", () => answers.length > count + 20);
  over = true;
  await Promise.all(asking);
  const others = new Set(answers.filter((answer) => answer !== 200));
  // Killed with -9 it cuts off what it was answering; ended in order it finishes that, or says that it ends.
  for (const each of others) expect(signal === "SIGKILL" ? ["ECONNRESET", "unknown"] : [503]).toContain(each);
});
