import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { Wire } from "./wire.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
  await daemon.request("POST", "/v1/sandboxes", { name: "stored" });
});
afterAll(async () => {
  await daemon.request("DELETE", "/v1/sandboxes/stored");
  await daemon[Symbol.asyncDispose]();
});

const head = (length: number) => `PUT /v1/sandboxes/stored/files?path=/f HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${length}\r\n\r\n`;

describe.concurrent("an upload", () => {
  it("may take longer than other requests, as long as something comes", { timeout: 90_000 }, async () => {
    using wire = await Wire.open({ path: daemon.socket });
    const seconds = 64;
    wire.write(head(seconds));
    for (let sent = 0; sent < seconds; sent++) {
      wire.write("x");
      await new Promise((next) => setTimeout(next, 1_000));
    }
    const reply = await wire.reply();
    expect([reply?.status, JSON.parse(reply?.body ?? "").sizeBytes]).toEqual([201, seconds]);
  });

  it("of which nothing comes for 60 s is told so once, and the connection is closed", { timeout: 90_000 }, async () => {
    using wire = await Wire.open({ path: daemon.socket });
    wire.write(`${head(1_000)}abc`);
    const began = performance.now();
    expect(expectProblem(await wire.reply(70_000), 408).code).toBe("request-timeout");
    expect(performance.now() - began).toBeGreaterThan(59_000);
    expect(await wire.reply(10_000)).toBe(null);
  });

  it("that is refused is answered while it comes, and cut off when it does not end", { timeout: 30_000 }, async () => {
    using wire = await Wire.open({ path: daemon.socket });
    wire.write(head(2 ** 40).replace("/stored/", "/nobody/"));
    const timer = setInterval(() => wire.write("x".repeat(10_000)), 50);
    try {
      expect(expectProblem(await wire.reply(), 404).code).toBe("sandbox-not-found");
      await wire.closed(8_000);
    } finally {
      clearInterval(timer);
    }
  });
});
