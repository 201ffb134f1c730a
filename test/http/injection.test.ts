/** Texts of requests reach commands as they are, and nothing else: strace(1) sees which programs are executed and what is mounted. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { hostileTexts } from "./fuzz-values.ts";

const texts = hostileTexts.filter((text) => !text.includes("\0") && !text.includes("\ud800") && text.length < 1_000);
const calls = "execve,execveat,mount,umount2,fsopen,fsconfig,fsmount,move_mount,open_tree,mount_setattr";

let box: SandboxDaemon;
let folder: string;
let tracer: ChildProcess;
const trace = (): string => readFileSync(join(folder, "trace"), "utf8");
const tracerOf = (pid: number): string => /^TracerPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unshared-trace-"));
  box = await SandboxDaemon.start("injection", 1_342_177_280, "--ready-shells", "0", "--default-root", "off");
  const source = { kind: "copy", binaries: ["/bin/bash"] };
  const made = await box.request("POST", "/v1/roots?wait=60", { name: "default", source });
  expect(made.status, made.text).toBe(201);
  const pids = [box.daemon.pid, await box.launcherPid()];
  tracer = spawn(
    "strace",
    ["-f", "-s", "65536", "-e", `trace=${calls}`, "-o", join(folder, "trace"), ...pids.flatMap((pid) => ["-p", `${pid}`])],
    {
      stdio: "ignore",
    },
  );
  await until("both are traced", () => pids.every((pid) => tracerOf(pid) === String(tracer.pid)), 20_000);
});
afterAll(async () => {
  const ended = once(tracer, "exit");
  tracer.kill("SIGINT");
  await ended;
  await box[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** One run from its creation to its end, with these texts wherever a definition takes any; gives what was traced of it. */
const traced = async (name: string, given: readonly string[]): Promise<string[]> => {
  const before = trace().length;
  const numbered = Object.fromEntries(given.map((text, index) => [`k${index}`, text]));
  const definition = { name, env: numbered, labels: numbered, hostname: "box", command: ["/bin/bash", "-c", "exit 7", ...given] };
  const { id } = await box.run(definition);
  const report = await box.reaches(id, "stopped", 20_000);
  expect(report.exit.code).toBe(7);
  expect(report.labels).toEqual(numbered);
  await box.request("PUT", `/v1/sandboxes/${id}/files?path=${encodeURIComponent(`/tmp/${given[0] ?? "x"}`)}&parents=true`, given);
  await box.request("DELETE", `/v1/sandboxes/${id}`);
  return trace().slice(before).split("\n");
};

/** Without what differs from one sandbox to the next: pids, ids, descriptors, numbers. */
const normalized = (lines: readonly string[]): string[] =>
  [
    ...new Set(
      lines
        .filter((line) => /^\d+ +(mount|umount2|fs|move_mount|open_tree)/.test(line))
        .map((line) =>
          line
            .replace(/ <unfinished.*$|\)\s+= .*$/, "")
            .replaceAll(/[0-9a-hjkmnp-tv-z]{26}/g, "ID")
            .replaceAll(/\b(0x[0-9a-f]+|\d+)\b/g, "N"),
        ),
    ),
  ].sort();
const executed = (lines: readonly string[]): string[] =>
  [...new Set(lines.flatMap((line) => /\bexecve(?:at)?\((?:\w+, )?"([^"]*)"/.exec(line)?.[1] ?? []))].sort();

it("hostile texts execute no other program, and change nothing of what is mounted (check 62)", { timeout: 60_000 }, async () => {
  const plain = await traced("plain", ["plain"]);
  const hostile = await traced("hostile", texts);
  expect(executed(plain)).toContain("/bin/bash");
  expect(executed(hostile)).toEqual(executed(plain));
  expect(executed(hostile).filter((program) => program !== "/bin/bash" && program !== box.program)).toEqual([]);
  expect(normalized(plain).length).toBeGreaterThan(5);
  expect(normalized(hostile)).toEqual(normalized(plain));
  // The command has them one by one, as they were sent.
  const line = hostile.find((each) => /execve\("\/bin\/bash"/.test(each)) ?? "";
  for (const text of ["$(id)", "`id`", ";reboot", "lowerdir=/,upperdir=/tmp", "-o exec"]) expect(line).toContain(`, "${text}"`);
});
