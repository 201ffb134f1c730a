/** The cgroup above all sandboxes may have no more processes (pids.max): who asks for another is told so, and what stands goes on. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isHybrid } from "../fixtures/cgroup-files.ts";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("full-pids", 1_440_000_000, "--ready-shells", "0");
});
afterAll(() => host[Symbol.asyncDispose]());

const command = { command: ["/bin/bash", "-c", "echo here"] };
const exec = () => host.request("POST", "/v1/sandboxes/standing/processes?wait=20", command);

it("refuses launches and commands while the cgroup is full, and goes on afterwards", async () => {
  const { process } = await host.run({ name: "standing" });
  const parent = join("/sys/fs/cgroup", isHybrid ? "pids" : "", host.cgroupParent);
  const before = [host.processes(), host.cgroups()];
  writeFileSync(join(parent, "pids.max"), readFileSync(join(parent, "pids.current")));

  const launch = await host.request("POST", "/v1/sandboxes?start=true", { name: "another" });
  expect(expectProblem(launch, 503)).toMatchObject({ code: "host-exhausted", layer: "command", errno: constants.errno.EAGAIN });
  expect(launch.headers["retry-after"]).toBe("1");
  expect(expectProblem(await exec(), 503)).toMatchObject({ code: "host-exhausted", errno: constants.errno.EAGAIN });
  await until("as many processes and cgroups as before", () => [host.processes(), host.cgroups()].join() === before.join(), 20_000);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toHaveLength(1);
  expect([isAlive(process.pid), (await host.report("standing")).status.state]).toEqual([true, "running"]);

  writeFileSync(join(parent, "pids.max"), "max");
  expect((await exec()).body.output.stdout.data).toBe("here\n");
  expect((await host.run({ name: "another" })).status.state).toBe("running");
});
