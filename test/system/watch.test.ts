/** Changes as they happen, made inside by programs and through the API. */
import { spawnSync } from "node:child_process";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
let id: string;
let pid: number;
beforeAll(async () => {
  host = await SandboxDaemon.start("watch", 1_270_000_000);
  const report = await host.run();
  [id, pid] = [report.id, report.process.pid];
  await host.request("POST", `/v1/sandboxes/${id}/files`, { op: "mkdir", path: "/job/sub", parents: true });
});
afterAll(() => host[Symbol.asyncDispose]());

const inside = (script: string) =>
  expect(spawnSync("nsenter", ["--target", String(pid), "--all", "--root", "--wd", "/bin/bash", "-c", script]).status).toBe(0);

/** Reads events until told to end. */
class Watching {
  text = "";
  ended = false;
  readonly response: IncomingMessage;

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding("utf8").on("data", (text: string) => {
      this.text += text;
    });
    response.on("close", () => {
      this.ended = true;
    });
    response.on("error", () => {});
  }

  static open(sandbox: string, query: string): Promise<Watching> {
    return new Promise((done, failed) => {
      const path = `/v1/sandboxes/${sandbox}/watch?${query}`;
      const request = httpRequest({ socketPath: host.daemon.socket, path, headers: { host: "localhost" } }, (response) =>
        done(new Watching(response)),
      );
      request.once("error", failed);
      request.end();
    });
  }

  /** Kind and path of each event so far. */
  get events(): string[] {
    return [...this.text.matchAll(/^event: (.*)\ndata: (.*)\n\n/gm)].map(([, kind, data]) =>
      `${kind} ${JSON.parse(data as string).path ?? ""}`.trim(),
    );
  }

  close(): void {
    this.response.destroy();
  }
}

describe("a watch", () => {
  it("tells what programs and requests do, and not what lies on the way", async () => {
    const watching = await Watching.open(id, "path=/job");
    expect(watching.response.headers["content-type"]).toBe("text/event-stream");
    inside("echo x > /job/a; chmod 600 /job/a; mv /job/a /job/b; rm /job/b; echo y > /job/sub/unseen");
    await sendBytes(host, "PUT", filesUrl(id, "/job/by-request"), Buffer.from("x"));
    await until("the last event", () => watching.events.includes("moved-to /job/by-request"));
    expect(watching.events.filter((event) => !event.endsWith("by-request"))).toEqual([
      "created /job/a",
      "modified /job/a",
      "attributes /job/a",
      "moved-from /job/a",
      "moved-to /job/b",
      "deleted /job/b",
    ]);
    expect(watching.text).not.toMatch(/\.unshared-|unseen/);
    watching.close();
  });

  it("with recursive=true follows directories that are there and that come to be, across names of any bytes, but not into /proc", async () => {
    const watching = await Watching.open(id, "path=/&recursive=true");
    inside(
      "echo x > /job/sub/one; mkdir /job/new; sleep 0.2; echo x > /job/new/two; touch $'/job/new/\\xff\\n'; cat /proc/self/status > /dev/null",
    );
    await until("the last event", () => watching.text.includes("pathBytes"));
    expect(watching.events).toEqual(expect.arrayContaining(["created /job/sub/one", "created /job/new", "created /job/new/two"]));
    expect(watching.text).toContain(Buffer.concat([Buffer.from("/job/new/"), Buffer.from([0xff, 0x0a])]).toString("base64"));
    expect(watching.events.filter((event) => / \/(proc|sys|dev)\//.test(event))).toEqual([]);
    watching.close();
  });

  it("that nobody reads is bounded, and tells that it missed some", { timeout: 60_000 }, async () => {
    const watching = await Watching.open(id, "path=/job");
    watching.response.pause();
    inside("for i in {1..60000}; do : > /job/flood-$((i % 3)); done");
    watching.response.resume();
    await until("the overflow", () => watching.events.some((event) => event.startsWith("overflow")), 20_000);
    watching.close();
  });

  it("is refused where there is nothing to watch", async () => {
    const code = async (path: string) => (await sendBytes(host, "GET", `/v1/sandboxes/${id}/watch?path=${path}`)).body.code;
    expect([await code("/none"), await code("/etc/passwd"), await code("/proc")]).toEqual([
      "file-not-found",
      "not-a-directory",
      "path-on-other-mount",
    ]);
  });

  it("ends when its client leaves, and leaves no process", async () => {
    const watching = await Watching.open(id, "path=/job");
    await until("it is the only agent", () => host.pidsInside({ process: { pid } }).length === 3);
    watching.close();
    await until("the agent is gone", () => host.pidsInside({ process: { pid } }).length === 2);
  });

  it("ends with the sandbox, and on a stopped one with its start", async () => {
    const { id: other } = await host.run();
    const running = await Watching.open(other, "path=/");
    await host.request("POST", `/v1/sandboxes/${other}/kill`);
    await until("its end", () => running.ended);
    expect(running.events.at(-1)).toBe("end");
    const stopped = await Watching.open(other, "path=/");
    await host.request("POST", `/v1/sandboxes/${other}/start`);
    await until("its end", () => stopped.ended);
    expect(stopped.events.at(-1)).toBe("end");
  });
});
