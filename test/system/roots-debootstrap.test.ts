import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";

interface State {
  state: string;
  phase: string;
  progress: number | null;
  message: string | null;
}

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off");
});
afterAll(() => daemon[Symbol.asyncDispose]());

const begin = async (name: string, more: object = {}) =>
  (await daemon.request("POST", "/v1/roots", { name, source: { kind: "debootstrap", ...more } })).body;
const folders = () => readdirSync(join(daemon.stateDir, "roots"));

/** The processes whose command line names this daemon's directory, other than the daemon and its launcher. */
const helpers = (): string[] =>
  readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        return "";
      }
    })
    .filter((line) => line.includes(join(daemon.stateDir, "roots/")));

/** Follows an operation's events until `enough` says so, or its end; answers all states seen. */
const follow = (id: string, enough: (state: State) => boolean): Promise<State[]> =>
  new Promise((done, failed) => {
    const states: State[] = [];
    const request = httpRequest(
      { socketPath: daemon.socket, path: `/v1/operations/${id}`, headers: { host: "localhost", accept: "text/event-stream" } },
      async (response) => {
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) {
          text += chunk;
          const events = text.split("\n\n");
          text = events.pop() ?? "";
          for (const event of events) if (event.startsWith("event:")) states.push(JSON.parse(event.slice(event.indexOf("data: ") + 6)));
          const last = states.at(-1);
          if (last && (enough(last) || last.state !== "running")) break;
        }
        request.destroy();
        done(states);
      },
    );
    request.once("error", failed);
    request.end();
  });

const mountsInside = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(daemon.stateDir));

describe("a root of kind debootstrap", () => {
  it("leaves nothing when it is cancelled while it unpacks", { timeout: 120_000 }, async () => {
    const operation = await begin("cancelled");
    const states = await follow(operation.id, (state) => state.phase === "extracting packages");
    expect(states.at(-1)?.phase).toBe("extracting packages");
    expect(helpers().length).toBeGreaterThan(0);
    const { status, body } = await daemon.request("DELETE", `/v1/operations/${operation.id}`);
    expect([status, body.state, body.problem]).toEqual([200, "cancelled", null]);
    expect([folders(), helpers(), mountsInside()]).toEqual([[], [], []]);
    expect((await daemon.request("GET", "/v1/roots/cancelled")).status).toBe(404);
  });

  it("says in the problem what debootstrap said when it fails", { timeout: 60_000 }, async () => {
    const reply = await daemon.request("POST", "/v1/roots?wait=60", {
      name: "failing",
      source: { kind: "debootstrap", mirror: "http://127.0.0.1:9/debian" },
    });
    expect([reply.status, reply.body.code]).toEqual([500, "root-provision-failed"]);
    expect(reply.body.detail).toMatch(/debootstrap failed while .*: .*Release/);
    expect(reply.body.log.join("\n")).toMatch(/^E: .*Release/m);
    expect([folders(), helpers()]).toEqual([[], []]);
    const [operation] = (await daemon.request("GET", "/v1/operations?state=failed")).body.items;
    expect(operation.problem).toMatchObject({ code: "root-provision-failed", detail: reply.body.detail });
  });

  it("does not outlive a daemon that is killed, and the next one clears up", { timeout: 60_000 }, async () => {
    const operation = await begin("orphan");
    await follow(operation.id, (state) => state.phase === "retrieving the index");
    expect(helpers().length).toBeGreaterThan(0);
    await daemon.end("SIGKILL");
    for (let round = 0; helpers().length > 0 && round < 100; round++) await new Promise((next) => setTimeout(next, 50));
    expect(helpers()).toEqual([]);
    await daemon.start();
    expect(folders()).toEqual([]);
    expect((await daemon.request("GET", `/v1/operations/${operation.id}`)).body).toMatchObject({
      state: "failed",
      problem: { code: "shutting-down" },
    });
    expect((await daemon.request("GET", "/v1/roots")).body.items).toEqual([]);
  });

  it("is a Debian that runs, made with real progress, packages and all", { timeout: 300_000 }, async () => {
    const operation = await begin("debian", { suite: "bookworm", variant: "minbase", include: ["less"] });
    expect((await daemon.request("GET", "/v1/roots/debian")).body).toMatchObject({ state: "provisioning", operation: operation.id });
    const states = await follow(operation.id, () => false);
    expect(states.at(-1)?.state).toBe("succeeded");
    const numbers = states.map((state) => state.progress ?? 0);
    expect(numbers).toEqual([...numbers].sort((one, other) => one - other));
    expect(new Set(numbers).size).toBeGreaterThan(50);
    for (const phase of [
      "retrieving packages",
      "extracting packages",
      "unpacking required packages",
      "configuring required packages",
      "writing the manifest",
    ])
      expect(states.map((state) => state.phase)).toContain(phase);
    expect(states.some((state) => /^Retrieving [a-z0-9+.-]+ \d/.test(state.message ?? ""))).toBe(true);

    const root = (await daemon.request("GET", "/v1/roots/debian")).body;
    expect(root).toMatchObject({ state: "ready", operation: null, source: { suite: "bookworm", variant: "minbase", include: ["less"] } });
    const tree = join(daemon.stateDir, "roots", root.id, "tree");
    const inside = execFileSync(
      "chroot",
      [tree, "/bin/bash", "-c", "dpkg --audit; dpkg-query -W less bash | cut -f1; cat /etc/debian_version"],
      { encoding: "utf8", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } },
    );
    expect(inside).toMatch(/^bash\nless\n12\.\d+\n$/);
    expect(readdirSync(join(tree, "dev"))).toEqual([]);
    expect(statSync(join(tree, "tmp")).mode & 0o7777).toBe(0o1777);
    expect(
      execFileSync("find", [tree, "-type", "b", "-o", "-type", "c", "-o", "-type", "p", "-o", "-type", "s"], { encoding: "utf8" }),
    ).toBe("");
    expect([helpers(), mountsInside()]).toEqual([[], []]);

    const manifest = (await daemon.request("GET", "/v1/roots/debian/manifest")).body;
    const found = execFileSync("find", [tree, "!", "-type", "d", "-printf", "/%P\n"], { encoding: "utf8" }).trim().split("\n").sort();
    expect(manifest.files.map((file: { path: string }) => file.path)).toEqual(found);
    const bash = manifest.files.find((file: { path: string }) => file.path === "/usr/bin/bash");
    expect(bash).toMatchObject({ type: "file", source: "debootstrap", why: [{ kind: "package", of: "bash" }] });
    expect(execFileSync("sha256sum", [`${tree}/usr/bin/bash`], { encoding: "utf8" }).slice(0, 64)).toBe(bash.sha256);
    expect((await daemon.request("DELETE", "/v1/roots/debian")).status).toBe(204);
    expect(folders()).toEqual([]);
  });
});
