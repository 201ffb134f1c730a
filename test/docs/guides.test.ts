import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { tcpPort } from "../http/small-daemon.ts";
import { docs, patternOf, perform, shapeOf, stepsOf } from "./guide.ts";

const pages = readdirSync(docs, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md"));
const guides = pages.filter((page) => stepsOf(page).length > 0).sort();

describe("the guides", () => {
  let daemon: SandboxDaemon;
  let directory: string;

  beforeAll(async () => {
    daemon = await SandboxDaemon.start("docs", 1_963_000_000, "--listen", "127.0.0.1:0");
    directory = mkdtempSync(join(tmpdir(), "unshared-docs-"));
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  test.for(guides)("%s works as printed, and leaves nothing behind", { timeout: 60_000 }, async (guide) => {
    const before = await held(daemon);
    const steps = stepsOf(guide).map(({ commands, expected }) => ({ commands: commands.replaceAll("/tmp/", `${directory}/`), expected }));
    const env = { UNSHARED_SOCKET: daemon.daemon.socket, UNSHARED_URL: `http://127.0.0.1:${tcpPort(daemon.daemon)}` };
    const outputs = await perform(steps, env, directory);
    for (const [index, { commands, expected }] of steps.entries()) {
      if (expected === null) continue;
      const output = shapeOf(outputs[index] ?? "", expected.kind);
      expect(output, `printed by:\n${commands}`).toMatch(
        patternOf({ ...expected, text: expected.text.replaceAll("/tmp/", `${directory}/`) }),
      );
    }
    expect(await held(daemon)).toEqual(before);
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** What a guide could leave in the daemon. */
async function held(daemon: SandboxDaemon): Promise<unknown[]> {
  const lists = ["sandboxes", "roots", "tokens"].map(async (kind) => (await daemon.request("GET", `/v1/${kind}?limit=1000`)).body.items);
  return (await Promise.all(lists)).flat().map(({ id, name }: { id: string; name: string }) => `${name} ${id}`);
}

describe("what the documents link to", () => {
  test.for(pages)("%s", (page) => {
    const place = dirname(join(docs, page));
    const links = [...readFileSync(join(docs, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((link) => link[1] ?? "");
    expect(links.filter((link) => !existsSync(join(place, link))).map((link) => relative(docs, join(place, link)))).toEqual([]);
  });
});

test("the guides with commands are these", () => {
  expect(guides).toEqual(["cookbook.md", "operations.md", "quick-start.md", "tutorial.md"]);
});
