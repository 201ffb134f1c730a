import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

// The daemon with its packages is copied again and again: on a machine that is loaded that takes its time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const script = fileURLToPath(new URL("../../script/install", import.meta.url));
const version = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version as string;

/** Paths of all files and links below a folder, relative to it, sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

describe("script/install --destdir", () => {
  let destination: string;
  let place: string;

  beforeAll(() => {
    destination = mkdtempSync(join(tmpdir(), "unshared-install-"));
    place = join(destination, "usr/local/lib/unshared");
    // From another folder than the project's, as a person may call it.
    execFileSync(script, ["--destdir", destination], { cwd: "/" });
  });
  afterAll(() => rmSync(destination, { recursive: true, force: true }));

  test("the installed daemon runs on the installed Node", () => {
    const output = execFileSync(join(place, "bin/node"), [join(place, "server/main.ts"), "--version"], { encoding: "utf8", cwd: "/" });
    expect(output).toContain(version);
  });

  test("every package that the rooms import is there, and none that only development needs", () => {
    const load = `await import(${JSON.stringify(join(place, "server/http/app.ts"))}); await import(${JSON.stringify(join(place, "server/store/database.ts"))});`;
    const loaded = spawnSync(join(place, "bin/node"), ["--input-type=module", "--eval", load], { encoding: "utf8" });
    expect(loaded.stderr).toBe("");
    expect(loaded.status).toBe(0);
    const packages = readdirSync(join(place, "node_modules"));
    for (const name of ["vitest", "typescript", "@biomejs", "@types"]) expect(packages).not.toContain(name);
  });

  test("the dashboard is there as it was built, without its sources", () => {
    const web = fileURLToPath(new URL("../../web", import.meta.url));
    expect(filesBelow(join(place, "web"))).toEqual(filesBelow(join(web, "dist")).map((name) => join("dist", name)));
    expect(readFileSync(join(place, "web/dist/index.html"), "utf8")).toContain("/assets/");
  });

  test("the native program and the units are where the units name them", () => {
    const units = ["unshared-launcher.service", "unshared.service"];
    for (const unit of units) {
      const text = readFileSync(join(destination, "etc/systemd/system", unit), "utf8");
      const program = /^ExecStart=(\S+)/m.exec(text)?.[1] ?? "";
      expect(statSync(join(destination, program)).mode & 0o111).not.toBe(0);
    }
  });

  test("the guides are there, each with its page", () => {
    const load = `
      const { guides, attachments, textOf } = await import(${JSON.stringify(join(place, "server/http/guide/guides.ts"))});
      const { pageOf } = await import(${JSON.stringify(join(place, "server/http/guide/page.ts"))});
      for (const file of Object.values(attachments)) textOf(file);
      console.log(JSON.stringify(Object.keys(guides).map(pageOf).map((page) => page.includes("<main"))));`;
    const pages = JSON.parse(execFileSync(join(place, "bin/node"), ["--input-type=module", "--eval", load], { encoding: "utf8" }));
    expect(new Set(pages)).toEqual(new Set([true]));
    expect(pages.length).toBeGreaterThan(8);
  });

  test("unsharectl runs on the installed Node, with its man page and completion beside it", () => {
    const wrapper = readFileSync(join(destination, "usr/local/bin/unsharectl"), "utf8");
    const [, node = "", main = ""] = /^exec (\S+) (\S+) "\$@"$/m.exec(wrapper) ?? [];
    expect(execFileSync(join(destination, node), [join(destination, main), "--version"], { encoding: "utf8" })).toBe(`${version}\n`);
    expect(readFileSync(join(destination, "usr/local/share/man/man1/unsharectl.1"), "utf8")).toMatch(/^\.TH UNSHARECTL 1/);
    expect(readFileSync(join(destination, "usr/local/share/bash-completion/completions/unsharectl"), "utf8")).toContain("complete ");
  });

  test("a second call changes nothing, --uninstall leaves no file", () => {
    const before = filesBelow(destination);
    execFileSync(script, ["--destdir", destination]);
    expect(filesBelow(destination)).toEqual(before);

    const output = execFileSync(script, ["--destdir", destination, "--uninstall"], { encoding: "utf8" });
    expect(filesBelow(destination)).toEqual([]);
    expect(output).toContain("/var/lib/unshared");
    // Nothing to undo is no error.
    execFileSync(script, ["--destdir", destination, "--uninstall"]);
  });

  test("refuses an argument that it does not know", () => {
    const refused = spawnSync(script, ["--frobnicate"], { encoding: "utf8" });
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain("--frobnicate");
  });
});
