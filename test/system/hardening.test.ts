/** What SECURITY.md says of the systemd units is what systemd says of them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const security = readFileSync(path("SECURITY.md"), "utf8");
const stated = [...security.matchAll(/^\| `(unshared[a-z-]*\.service)` \| ([\d.]+) \|/gm)].map(([, unit = "", exposure = ""]) => ({
  unit,
  exposure,
}));
const documentedVersion = /of systemd (\d+),/.exec(security)?.[1];
/** Its weights change from version to version. */
const version = /^systemd (\d+)/.exec(spawnSync("systemd-analyze", ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1];

describe.skipIf(version !== documentedVersion)("the exposure that SECURITY.md states", () => {
  it.each(stated)("is that of $unit (check 64)", ({ unit, exposure }) => {
    const { stdout } = spawnSync("systemd-analyze", ["security", "--offline=true", "--no-pager", path(`systemd/${unit}`)], {
      encoding: "utf8",
    });
    expect(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]).toBe(exposure);
  });
});

it("is stated for each service", () => {
  expect(stated.map(({ unit }) => unit).sort()).toEqual(["unshared-launcher.service", "unshared.service"]);
});
