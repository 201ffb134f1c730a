/** The Debian package: what is in it, and what it says of itself. test/vm installs it. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const script = fileURLToPath(new URL("../../script/package", import.meta.url));
const version = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version as string;
let directory: string;
let package_: string;
/** The files as dpkg would lay them out, and the control files in DEBIAN. */
let tree: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "unshared-package-"));
  package_ = execFileSync(script, ["--fast", directory], { cwd: "/", encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  tree = join(directory, "tree");
  execFileSync("dpkg-deb", ["--raw-extract", package_, tree]);
}, 300_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const text = (path: string): string => readFileSync(join(tree, path), "utf8");
const field = (name: string): string => execFileSync("dpkg-deb", ["--field", package_, name], { encoding: "utf8" }).trim();

test("its name, version and architecture are in the name of the file, which is all that is printed", () => {
  const architecture = execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
  expect(package_).toBe(join(directory, `unshared_${version}_${architecture}.deb`));
  expect([field("Package"), field("Version"), field("Architecture")]).toEqual(["unshared", version, architecture]);
});

test("it depends on the libraries that its programs are linked with", () => {
  expect(field("Depends")).toMatch(/^libc6 \(>= .*libseccomp2 .*systemd \(>= \d+\)$/);
});

test("every file is root's, and nobody else may write to it", () => {
  const listing = execFileSync("dpkg-deb", ["--contents", package_], { encoding: "utf8", maxBuffer: 1 << 24 });
  const lines = listing.trim().split("\n");
  expect(lines.length).toBeGreaterThan(500);
  expect(lines.filter((line) => !/^(l|[d-]r.[x-][r-]-[x-][r-]-[x-]) root\/root /.test(line.replace(/^l\S+/, "l")))).toEqual([]);
});

test("files lie where packages may have them; settings are kept over an upgrade", () => {
  const below = (path: string) => readdirSync(join(tree, path)).sort();
  expect(below(".")).toEqual(["DEBIAN", "etc", "lib", "usr"]);
  expect([below("usr"), below("usr/bin")]).toEqual([["bin", "lib", "share"], ["unsharectl"]]);
  expect(text("usr/bin/unsharectl")).toContain("exec /usr/lib/unshared/bin/node ");
  expect([below("etc"), below("etc/default")]).toEqual([["default"], ["unshared"]]);
  expect(text("DEBIAN/conffiles")).toBe("/etc/default/unshared\n");
});

test("daemon and native program run from there", () => {
  const library = join(tree, "usr/lib/unshared");
  const node = join(library, "bin/node");
  expect(execFileSync(node, [join(library, "server/main.ts"), "--version"], { encoding: "utf8", cwd: "/" })).toContain(version);
  expect(execFileSync(join(library, "build/unshared-supervisor"), ["--version"], { encoding: "utf8" }).trim()).toBe(version);
  const rooms = ["server/http/app.ts", "server/store/database.ts", "server/http/guide/page.ts", "server/host/debootstrap-run.ts"];
  const load = rooms.map((path) => `await import(${JSON.stringify(join(library, path))});`);
  const loaded = spawnSync(node, ["--input-type=module", "--eval", load.join("")], { encoding: "utf8" });
  expect([loaded.stderr, loaded.status]).toEqual(["", 0]);
});

test("the units name programs that the package has, and all that its scripts call are there", () => {
  for (const unit of ["unshared.service", "unshared-launcher.service"]) {
    const program = /^ExecStart=(\S+)/m.exec(text(`lib/systemd/system/${unit}`))?.[1] ?? "";
    expect(program).toMatch(/^\/usr\/lib\/unshared\//);
    expect(statSync(join(tree, program)).mode & 0o111).toBe(0o111);
  }
  const scripts = ["postinst", "prerm", "postrm"].map((name) => join(tree, "DEBIAN", name));
  for (const each of scripts) expect(spawnSync("sh", ["-n", each], { encoding: "utf8" }).stderr).toBe("");
  const named = scripts.flatMap((each) => readFileSync(each, "utf8").match(/\/usr\/lib\/unshared\/[\w/.-]+/g) ?? []);
  expect(named.length).toBeGreaterThan(0);
  for (const path of named) expect(existsSync(join(tree, path)), path).toBe(true);
});

test("its settings file says what the daemon takes", () => {
  const help = execFileSync(process.execPath, [fileURLToPath(new URL("../../server/main.ts", import.meta.url)), "--help"], {
    encoding: "utf8",
  });
  const named = text("etc/default/unshared").match(/^#UNSHARED_\w+/gm) ?? [];
  expect(named.length).toBeGreaterThan(2);
  for (const name of named) expect(help).toContain(name.slice(1));
});

if (process.env["UNSHARED_TEST_LONG"] === "1")
  test("the same commit gives the same bytes", () => {
    const again = execFileSync(script, ["--fast", join(directory, "again")], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
    expect(readFileSync(again).equals(readFileSync(package_))).toBe(true);
  }, 300_000);
