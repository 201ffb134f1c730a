import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { archiveUrl, type BytesReply, filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { commandLine } from "../fixtures/processes.ts";
import { slowness } from "../fixtures/slowness.ts";
import type { Check } from "./check.ts";
import type { Stage } from "./stage.ts";
import { treeDigest } from "./tree-digest.ts";

const secret = "HOST-SECRET";

/** A tree of the host that everybody may read and write: only its not being in view keeps it whole. */
const withHostTree = async (use: (path: string) => Promise<string>): Promise<string> => {
  const path = mkdtempSync(join(tmpdir(), "unshared-sentinel-"));
  try {
    mkdirSync(join(path, "d"));
    for (const name of ["f", "gone", "d/f"]) writeFileSync(join(path, name), `${secret}\n`);
    for (const name of ["f", "gone", "d/f"]) chmodSync(join(path, name), 0o666);
    for (const name of ["d", ""]) chmodSync(join(path, name), 0o777);
    const before = treeDigest(path);
    const figure = await use(path);
    expect(treeDigest(path)).toBe(before);
    return figure;
  } finally {
    rmSync(path, { recursive: true });
  }
};

const inside = (stage: Stage, script: string) => stage.output("exec", ["/bin/bash", "-c", script]);

export const filesChecks: Check[] = [
  {
    number: 52,
    title:
      "files and directories that change places with links to the host never lead there: reads, lists, writes, deletions, changes, trees",
    red: ["files-host-side"],
    run: (stage) =>
      withHostTree(async (host) => {
        // What a link replaces holds the same names as the host's tree does.
        await inside(
          stage,
          `mkdir -p /job/d/d; for f in f gone d/f; do echo fine > /job/d/$f; done; echo fine > /job/a; ln -s ${host}/f /job/b; ln -s ${host} /job/e`,
        );
        const { id } = await stage.start(["/probes/exchange", "/job/a", "/job/b", "/job/d", "/job/e"]);
        const files = (path: string, rest = "") => filesUrl(stage.box.id, path, rest);
        const change = (body: object) => stage.host.request("POST", `/v1/sandboxes/${stage.box.id}/files`, body);
        const ask = (method: string, path: string, body: Buffer | null = null) => sendBytes(stage.host, method, path, body);
        const requests = [
          () => ask("GET", files("/job/a")),
          () => ask("GET", files("/job/d/f")),
          () => ask("GET", files("/job/d")),
          () => ask("HEAD", files("/job/d/f")),
          () => ask("PUT", files("/job/d/new", "&mode=0666"), Buffer.from("new")),
          () => ask("DELETE", files("/job/d/gone")),
          () => change({ op: "chmod", path: "/job/d/f", mode: "0600" }).then(({ status, text }) => ({ status, bytes: Buffer.from(text) })),
          () => ask("GET", archiveUrl(stage.box.id, "/job/d")),
        ];
        const rounds = stage.isLong ? 10_000 / requests.length : 40;
        const seen: Record<string, number> = {};
        for (let round = 0; round < rounds; round += 1) {
          const replies = await Promise.all(requests.map((request) => request().catch(cutOff)));
          for (const { status, bytes } of replies) {
            expect(String(bytes)).not.toContain(secret);
            expect([500, 501, 502]).not.toContain(status);
            seen[status] = (seen[status] ?? 0) + 1;
          }
        }
        expect(seen[200] ?? 0).toBeGreaterThan(rounds / 4);
        await stage.host.request("DELETE", `/v1/sandboxes/${stage.box.id}/processes/${id}`);
        await inside(stage, "rm -r /job");
        return `${rounds * requests.length} requests: ${Object.entries(seen)
          .map(([status, count]) => `${count} × ${status === "0" ? "cut off" : status}`)
          .join(", ")}`;
      }),
  },
  {
    number: 53,
    title: "what is no plain file is not read, and nobody waits for it; a file that grows, or has 1 TB of holes, is read as far as asked",
    red: ["files-host-side"],
    async run(stage) {
      await inside(
        stage,
        "mkdir /odd; mkfifo /odd/fifo; ln -s /proc/self/exe /odd/magic; ln -s loop /odd/loop; : > /odd/grows; dd if=/dev/null of=/odd/holes bs=1M seek=1048576 status=none",
      );
      const slowest = { milliseconds: 0 };
      const get = async (path: string, headers: Record<string, string> = {}) => {
        const began = performance.now();
        const reply = await sendBytes(stage.host, "GET", filesUrl(stage.box.id, path), null, headers, 1_000_000);
        slowest.milliseconds = Math.max(slowest.milliseconds, performance.now() - began);
        return reply;
      };
      const refusals: [path: string, code: string][] = [
        ["/odd/fifo", "not-a-regular-file"],
        ["/odd/loop", "path-invalid"],
        ...[
          "/dev/zero",
          "/dev/random",
          "/dev/tty",
          "/dev/pts/ptmx",
          "/proc/kmsg",
          "/proc/self/mem",
          "/proc/1/root/etc",
          "/odd/magic",
          "/sys/kernel",
        ].map((path): [string, string] => [path, "path-on-other-mount"]),
      ];
      for (const [path, code] of refusals) expect([path, (await get(path)).body?.code]).toEqual([path, code]);
      const { id } = await stage.start(["/bin/bash", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >> /odd/grows; done"]);
      const growing = await get("/odd/grows");
      expect([growing.status, growing.bytes.length]).toEqual([200, Number(growing.headers["content-length"])]);
      await stage.host.request("DELETE", `/v1/sandboxes/${stage.box.id}/processes/${id}`);
      const holes = await get("/odd/holes", { range: `bytes=${2 ** 40 - 5}-` });
      expect([holes.status, holes.bytes]).toEqual([206, Buffer.alloc(5)]);
      expect((await get("/odd/holes")).bytes.length).toBeGreaterThanOrEqual(1_000_000);
      expect(slowest.milliseconds).toBeLessThan(10_000 * slowness);
      await inside(stage, "rm -r /odd");
      return `${refusals.length + 3} files`;
    },
  },
  {
    number: 55,
    title: "those who serve a sandbox load and execute nothing of it: poisoned loader, name services, programs and environment",
    red: ["agents-load", "enter-executes"],
    async run(stage) {
      const evil =
        "cp /probes/calls /evil.so; echo /evil.so > /etc/ld.so.preload; echo 'passwd: evil' > /etc/nsswitch.conf; echo evil > /lib/x86_64-linux-gnu/libnss_evil.so.2";
      const programs = 'for name in tar sh id; do echo -e "#!/bin/bash\\n: > /executed" > /bin/$name; chmod 755 /bin/$name; done';
      await inside(
        stage,
        `mkdir -p /etc /lib/x86_64-linux-gnu; ${evil}; ${programs}; dd if=/dev/null of=/large bs=1M seek=1000000 status=none`,
      );
      const executed = `/proc/${stage.box.process.pid}/root/executed`;
      const files = (path: string, rest = "") => filesUrl(stage.box.id, path, rest);
      const env = {
        LD_PRELOAD: "/evil.so",
        LD_AUDIT: "/evil.so",
        BASH_ENV: "/evil",
        ENV: "/evil",
        NODE_OPTIONS: "--require /evil",
        PATH: "/probes",
        GCONV_PATH: "/",
      };
      const { body } = await stage.host.request("POST", "/v1/sandboxes/box/processes?wait=300", { command: ["/bin/true"], env });
      expect([body.exit.code, body.output.stderr.data]).toEqual([0, expect.stringContaining("/evil.so")]);
      // Nobody executed it before a command does.
      expect(existsSync(executed)).toBe(false);
      await stage.output("exec", ["/bin/id"]);
      expect(existsSync(executed)).toBe(true);
      rmSync(executed);
      // A reader that does not read keeps its agent there to be looked at.
      const reader = httpRequest({ socketPath: stage.host.daemon.socket, path: files("/large"), headers: { host: "localhost" } });
      const reply = new Promise<IncomingMessage>((resolve, reject) => reader.once("response", resolve).once("error", reject).end());
      try {
        (await reply).pause();
        await sendBytes(stage.host, "PUT", files("/put"), Buffer.from("x"));
        await sendBytes(stage.host, "GET", archiveUrl(stage.box.id, "/etc"));
        await stage.output("terminal", ["/bin/true"]);
        const titles: string[] = [];
        for (const pid of [stage.host.daemon.pid, ...stage.host.ownProcesses()]) {
          titles.push(commandLine(pid)[0] ?? "");
          const mapped = readFileSync(`/proc/${pid}/maps`, "utf8")
            .split("\n")
            .filter((line) => line.includes("/"));
          for (const line of mapped) {
            const [, , , device, inode, path = ""] = line.split(/\s+/);
            expect(path).not.toMatch(/evil|probes/);
            if (/^\/(memfd:|dev\/zero)/.test(path)) continue; // the program's sealed copy; memory that is shared
            const { dev, ino } = statSync(path);
            expect([path, `${ino}`, major(dev)]).toEqual([path, inode, Number.parseInt(device?.split(":")[0] ?? "", 16)]);
          }
        }
        expect(titles.join()).toMatch(/files/);
        expect(existsSync(executed)).toBe(false);
        return `${titles.length} processes`;
      } finally {
        reader.destroy();
        await stage.afresh();
      }
    },
  },
  {
    number: 57,
    title:
      "paths in odd spellings are refused or lead to a file inside: dots, escapes, NUL, backslashes, long ones, bytes that are no text, links",
    red: ["files-host-side"],
    run: (stage) =>
      withHostTree(async (host) => {
        await inside(stage, "ln -s / /top; ln -s ../../../../../.. /up; mkdir /-rf; true");
        const spellings = [
          ...[`../../../..${host}/f`, `/../../../..${host}/f`, `/..%2f..%2f..${host}/f`, `/%2e%2e/%2e%2e${host}/f`, `//..//..${host}//f`],
          ...[
            `/top${host}/f`,
            `/up${host}/f`,
            `/top/top/..${host}/f`,
            `${host}/f`,
            `/-rf/..${host}/f`,
            `/.${host}/./f`,
            `\\..\\..${host}/f`,
          ],
          ...[
            `/proc/1/root${host}/f`,
            `/proc/self/cwd${host}/f`,
            `/dev/fd/0${host}/f`,
            `${host}/f%00.txt`,
            `/%00${host}/f`,
            `/%c0%ae%c0%ae${host}/f`,
          ],
          ...[
            `/%ed%a0%80${host}/f`,
            `/${"x".repeat(5_000)}${host}/f`,
            `/${"a/".repeat(2_000)}f`,
            "-rf",
            "~/f",
            "",
            "%0a",
            "/*",
            `/$(cat ${host}/f)`,
          ],
        ];
        const seen = new Set<number>();
        for (const path of spellings)
          for (const [method, body] of [
            ["GET", null],
            ["PUT", Buffer.from("x")],
            ["DELETE", null],
          ] as const) {
            const { status, bytes } = await sendBytes(stage.host, method, `/v1/sandboxes/${stage.box.id}/files?path=${raw(path)}`, body);
            expect(String(bytes), `${method} ${path.slice(0, 80)}`).not.toContain(secret);
            expect(status, `${method} ${path.slice(0, 80)}`).toBeLessThan(500);
            seen.add(status);
          }
        expect(seen.has(404)).toBe(true);
        return `${spellings.length * 3} requests`;
      }),
  },
];

/** As it is, but for what an HTTP target cannot hold. */
const raw = (path: string): string => path.replaceAll("\\", "%5c").replaceAll(" ", "%20");

/** A tree that changes while it is read is cut off. */
const cutOff = (): Pick<BytesReply, "status" | "bytes"> => ({ status: 0, bytes: Buffer.alloc(0) });

const major = (device: number): number => Math.floor(device / 256) & 0xfff;
