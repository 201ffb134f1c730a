/** The published form: packed, installed into an empty project, and used from JavaScript and TypeScript. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientTypes } from "../../script/client-types.ts";
import type { Daemon } from "../fixtures/daemon.ts";
import { startSmallDaemon, tcpPort } from "../http/small-daemon.ts";
import { adminToken } from "../http/token-client.ts";

const repository = resolve(import.meta.dirname, "../..");
const compiler = join(repository, "node_modules/typescript/bin/tsc");

let folder: string;
let project: string;
let daemon: Daemon;
const run = async (program: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> =>
  (await promisify(execFile)(program, args, { cwd, encoding: "utf8", env: { ...process.env, ...env } })).stdout;

const install = async (): Promise<void> => {
  folder = mkdtempSync(join(tmpdir(), "unshared-package-"));
  const [built, client] = [join(folder, "built"), join(repository, "client")];
  await run(process.execPath, [compiler, "-p", client, "--outDir", join(built, "dist")], repository);
  for (const name of ["package.json", "README.md"]) cpSync(join(client, name), join(built, name));
  const [{ filename }] = JSON.parse(await run("npm", ["pack", "--ignore-scripts", "--json", built], folder)) as [{ filename: string }];
  project = join(folder, "project");
  mkdirSync(project);
  // Without a registry: the one dependency is the repository's own.
  const dependencies = { "unshared-client": `file:../${filename}`, ws: `file:${join(repository, "node_modules/ws")}` };
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", type: "module", dependencies }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--install-links"], project);
};
beforeAll(async () => {
  [daemon] = await Promise.all([startSmallDaemon(), install()]);
}, 180_000);
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe("the package", () => {
  it("holds compiled files only, and needs nothing but a WebSocket", () => {
    const installed = join(project, "node_modules/unshared-client");
    const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    expect(Object.keys(dependencies)).toEqual(["ws"]);
    expect([existsSync(join(installed, "index.ts")), existsSync(join(installed, "dist/index.js"))]).toEqual([false, true]);
  });

  const program = `
    import { connect, ProblemError } from "unshared-client";
    const client = connect();
    const sandbox = await client.sandboxes.create();
    const { stdout } = await sandbox.run(["/bin/bash", "-c", "echo $((6 * 7))"]);
    await sandbox.delete();
    const refusal = await client.sandboxes.get("nobody").catch((error) => error);
    console.log(JSON.stringify([stdout, refusal instanceof ProblemError, refusal.code]));
    client.close();`;
  // The machine's own Node, which is older, where there is one.
  it.each([process.execPath, "/usr/bin/node"].filter((path) => existsSync(path)))("is used from JavaScript by %s", async (node) => {
    writeFileSync(join(project, "use.js"), program);
    expect(JSON.parse(await run(node, ["use.js"], project, { UNSHARED_SOCKET: daemon.socket }))).toEqual([
      "42\n",
      true,
      "sandbox-not-found",
    ]);
  });

  const page = `
    import { connect } from "unshared-client";
    const client = connect({ url: process.argv[2], token: process.argv[3] });
    const sandbox = await client.sandboxes.create();
    const terminal = await sandbox.terminal(["/bin/bash", "-c", "read -r; echo $((6 * 7)); exit 3"]);
    terminal.write("\\r");
    let shown = "";
    for await (const bytes of terminal) shown += new TextDecoder().decode(bytes);
    const end = await terminal.ended;
    await sandbox.delete();
    console.log(JSON.stringify([shown, end.exit.code]));`;
  it("has in its part for browsers a terminal, by the token alone, which Node's own WebSocket sends no header of", async () => {
    writeFileSync(join(project, "page.js"), page);
    const address = [`http://127.0.0.1:${tcpPort(daemon)}`, adminToken(daemon)];
    expect(JSON.parse(await run(process.execPath, ["--conditions=browser", "page.js", ...address], project))).toEqual(["\r\n42\r\n", 3]);
  });

  it("is used by a page in a real browser, terminal included", async () => {
    const dist = join(project, "node_modules/unshared-client/dist");
    const origin = `http://127.0.0.1:${tcpPort(daemon)}`;
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
    try {
      const page = await browser.newPage();
      // The modules as a site would serve them, at the daemon's own origin, and a page there that may run what its own origin has.
      await page.route(`${origin}/client/*`, (route) =>
        route.fulfill({
          contentType: "text/javascript",
          body: readFileSync(join(dist, route.request().url().split("/").at(-1) as string)),
        }),
      );
      await page.goto(`${origin}/docs`);
      const found = await page.evaluate(`(async () => {
        const { connect } = await import("/client/browser.js");
        const client = connect({ token: ${JSON.stringify(adminToken(daemon))} });
        const sandbox = await client.sandboxes.create();
        const { stdout } = await sandbox.run(["/bin/bash", "-c", "echo $((6 * 7))"]);
        await sandbox.files.write("/srv/a", "text", { parents: true });
        const terminal = await sandbox.terminal(["/bin/bash", "-c", "read -r; echo shown; exit 5"]);
        terminal.write("\\r");
        let shown = "";
        for await (const bytes of terminal) shown += new TextDecoder().decode(bytes);
        const { exit } = await terminal.ended;
        const file = new TextDecoder().decode(await sandbox.files.read("/srv/a"));
        const { complete } = await sandbox.delete();
        return [stdout, shown, exit.code, file, complete];
      })()`);
      expect(found).toEqual(["42\n", "\r\nshown\r\n", 5, "text", true]);
    } finally {
      await browser.close();
    }
  }, 60_000);

  const typed = `
    import { connect, type RunResult } from "unshared-client";
    const client = connect({ socket: "/x" });
    export const use = async (): Promise<RunResult> => {
      await using sandbox = await client.sandboxes.create({ limits: { pids: 10 } });
      const state: "running" | "created" | string = sandbox.report.status.state;
      for await (const record of sandbox.process().output()) if ("exit" in record) console.log(record.exit.code, state);
      return sandbox.run("ls /", { check: true });
    };`;
  it.each([
    ["nodenext", ["--module", "nodenext"]],
    ["a bundler for browsers", ["--module", "esnext", "--moduleResolution", "bundler", "--customConditions", "browser"]],
  ])("is used from TypeScript by %s, its own declarations checked, and what is wrong is refused", async (name, flags) => {
    const source = name === "nodenext" ? typed : typed.replace("socket:", "url:");
    writeFileSync(join(project, "use.ts"), source);
    writeFileSync(join(project, "misuse.ts"), source.replace("pids: 10", 'pids: "10"'));
    const common = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2023,dom,dom.iterable,esnext.disposable", "--types", ""];
    const compiled = run(process.execPath, [compiler, ...common, ...flags, "use.ts", "misuse.ts"], project);
    const { stdout } = await compiled.then(
      () => ({ stdout: "" }),
      (error: { stdout: string }) => error,
    );
    expect(stdout.match(/^\S.*error TS\d+/gm)).toEqual([expect.stringMatching(/^misuse\.ts.*TS2322$/)]);
  });

  it("has in its part for browsers nothing of Node", () => {
    const seen = new Set<string>();
    const walk = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, name = ""] of readFileSync(path, "utf8").matchAll(/(?:from|import) ?\(?"([^"]+)"/g)) {
        expect(name, path).toMatch(/^\.\//);
        walk(join(path, "..", name));
      }
    };
    walk(join(project, "node_modules/unshared-client/dist/browser.js"));
    expect(seen.size).toBeGreaterThan(5);
  });
});

describe("the types", () => {
  it("are those of the contract", () => {
    const contract = JSON.parse(readFileSync(join(repository, "openapi/openapi.json"), "utf8"));
    expect(readFileSync(join(repository, "client/api.ts"), "utf8")).toBe(clientTypes(contract));
  });
});
