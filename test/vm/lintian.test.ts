import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

test("lintian finds no error in the package", () => {
  const directory = mkdtempSync(join(tmpdir(), "unshared-lintian-"));
  try {
    const script = resolve(import.meta.dirname, "../../script/package");
    const built = execFileSync(script, ["--fast", directory], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
    // Only this quickly made one is not compressed.
    const own = ["uses-no-compression-for-control-tarball", "uses-no-compression-for-data-tarball"];
    const { stdout, status } = spawnSync("lintian", ["--fail-on", "error", "--suppress-tags", own.join(","), built], { encoding: "utf8" });
    expect(stdout.split("\n").filter((line) => line.startsWith("E:"))).toEqual([]);
    expect(status).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 600_000);
