import { describe, expect, it } from "vitest";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { Wire } from "./wire.ts";

const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

describe("TERM", () => {
  it("lets a running request finish, takes in no new ones, and ends with 0", async () => {
    await using daemon = await startSmallDaemon();
    const path = `/v1/sandboxes/${(await daemon.request("POST", "/v1/sandboxes?start=true", { command: ["/bin/bash", "-c", "trap : TERM; echo; while :; do sleep 1; done"] })).body.id}`;
    using running = await Wire.open({ path: daemon.socket });
    using open = await Wire.open({ path: daemon.socket });
    open.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect((await open.reply())?.status).toBe(200);
    // The command ignores TERM: the stop takes as long as its grace.
    running.write(post(`${path}/stop`, '{"graceSeconds":1.5}'));
    // Half of a head: this connection is not idle, so that it stays open until the rest has come.
    open.write("GET /v1/info HTTP/1.1\r\nho");
    await new Promise((done) => setTimeout(done, 300));

    const ended = daemon.end("SIGTERM");
    await new Promise((done) => setTimeout(done, 200));
    await expect(Wire.open({ path: daemon.socket })).rejects.toThrow();
    open.write("st: localhost\r\n\r\n");
    const refused = await open.reply();
    expect(expectProblem(refused, 503).code).toBe("shutting-down");
    expect(refused?.headers["connection"]).toBe("close");

    const stopped = await running.reply();
    expect(stopped?.status).toBe(200);
    expect(JSON.parse(stopped?.body ?? "").status.state).toBe("stopped");
    expect(await ended).toBe(0);

    await daemon.start();
    expect((await daemon.request("GET", path)).body.status.state).toBe("stopped");
    expect((await daemon.request("DELETE", path)).status).toBe(200);
  });

  it("ends within 5 s although requests never end", async () => {
    await using daemon = await startSmallDaemon();
    using stuck = await Wire.open({ path: daemon.socket });
    stuck.write("POST /v1/sandboxes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{");
    await new Promise((done) => setTimeout(done, 100));
    expect(await daemon.end("SIGTERM")).toBe(0);
  });
});
