import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import { until } from "../fixtures/processes.ts";
import { slowness } from "../fixtures/slowness.ts";
import type { Check } from "./check.ts";
import { inherited, ways } from "./stage.ts";

const targetsOf = (pid: number): string[] => readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));

export const descriptorsChecks: Check[] = [
  {
    number: 32,
    title: "a process has the descriptors 0, 1 and 2, though the daemon was started with others that it did not close",
    red: ["fds-kept"],
    async run(stage) {
      // The stage's daemon has them, and its launcher too: nothing of Node closes what lies so high.
      const { daemon } = stage.host;
      for (const target of inherited) expect(targetsOf(daemon.pid)).toContain(target);
      for (const way of ways) expect([way, Object.keys(await stage.probe(way, "descriptors"))]).toEqual([way, ["0", "1", "2"]]);
      for (const pid of stage.host.pidsInside(stage.box)) for (const target of inherited) expect(targetsOf(pid)).not.toContain(target);
      return `${inherited.length} foreign ones`;
    },
  },
  {
    number: 33,
    slow: true,
    title: "who enters the sandbox shows nothing of the host to those who lie in wait for him, nor when he executes himself",
    red: ["not-sealed", "dumpable"],
    async run(stage) {
      const rounds = stage.isLong ? 1_000 : 30;
      const programs = [stage.host.program, `/proc/${stage.host.daemon.pid}/exe`];
      const before = programs.map(sha256);
      await stage.output("exec", ["/bin/bash", "-c", "printf '#!/proc/self/exe\\n' > /itself; chmod 755 /itself"]);
      const watchers = await Promise.all([0, 1].map(() => stage.start(["/probes/watcher"])));
      await until("they watch", async () => (await stage.logOf("box")).split("watching: yes").length > 2, 20_000);
      const exec = (command: string[], tty: boolean) =>
        stage.host.request("POST", "/v1/sandboxes/box/processes?wait=300", { command, tty });
      for (let round = 0; round < rounds; round += 3)
        await Promise.all([exec(["/bin/true"], false), exec(["/bin/true"], true), exec(["/itself"], false)]);
      const seen = new Set(
        (await stage.logOf("box")).split("\n").filter((line) => /^(exe|root|cwd|fd|exe for writing|ptrace|memory): /.test(line)),
      );
      for (const { id } of watchers) await stage.host.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
      // Its own programs, its own root, its own terminals, and the sealed copy: what a process may see of another of the same sandbox.
      const own =
        /^(exe: \/(usr\/)?(bin|probes)\/\w+|exe: \/memfd:unshared-supervisor \(deleted\)|root: \/|cwd: \/|fd: (\/dev\/(null|pts\/\d+|pts\/ptmx)|\/(usr\/)?(bin|probes)\/\w+|\/(usr\/)?lib\S*|\/etc\/ld\.so\.cache|\/proc(\/\d+(\/fd)?)?))$/;
      expect([...seen].filter((line) => !own.test(line))).toEqual([]);
      expect([...seen].some((line) => line.startsWith("exe: /"))).toBe(true);
      expect(programs.map(sha256)).toEqual(before);
      return `${rounds} entries, ${seen.size} things seen`;
    },
  },
  {
    number: 34,
    title: "stdio that is reopened, shut down, resized and made non-blocking holds nobody up, and is nothing of the daemon's",
    red: ["stdio-sockets"],
    async run(stage) {
      const kinds = { main: "pipe pipe pipe", exec: "device pipe pipe", terminal: "device device device" };
      for (const way of ways) {
        for (let round = 0; round < 3; round += 1)
          expect(await stage.probe(way, "stdio")).toEqual({ given: kinds[way], "still there": "yes" });
        const began = performance.now();
        expect((await stage.host.request("GET", "/v1/sandboxes/box")).status).toBe(200);
        expect(performance.now() - began).toBeLessThan(2_000 * slowness);
      }
      expect(await stage.output("exec", ["/bin/cat", "/proc/self/comm"])).toBe("cat\n");
      return undefined;
    },
  },
  {
    number: 35,
    title: "a sandbox has 256 terminals at most, the host still has its own; a flood of escape codes and sizes breaks nothing",
    red: ["ptys-unlimited"],
    async run(stage) {
      const open = "i=0; while [ $i -lt 400 ] && exec {fd}<>/dev/pts/ptmx; do i=$((i+1)); done 2>/dev/null; echo $i";
      const opened = Number(await stage.output("exec", ["/bin/bash", "-c", open]));
      expect(opened).toBeGreaterThan(100);
      expect(opened).toBeLessThanOrEqual(256);
      closeSync(openSync("/dev/ptmx", "r+"));
      const flood =
        "for i in {1..2000}; do printf '\\033[%d;%dH\\033]0;title\\007\\033[6n\\033P\\033\\\\\\000\\377' $i $i; done; sleep 0.5";
      const { id } = await stage.start(["/bin/bash", "-c", flood], { tty: true });
      const resize = (size: number) =>
        stage.host.request("POST", `/v1/sandboxes/box/processes/${id}/resize`, { rows: size, columns: 4_096 - size });
      for (let size = 1; size < 50; size += 1) await resize(size);
      const { body } = await stage.host.request("GET", `/v1/sandboxes/box/processes/${id}?wait=300`);
      expect(body.exit).toMatchObject({ reason: "exited", code: 0 });
      expect((await stage.host.report("box")).status.state).toBe("running");
      return `${opened} terminals`;
    },
  },
];

const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
