/** What the preflight says of the ids that sandboxes are lent, by files as they are in /etc. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import type { LauncherFacts } from "../../../server/domain/instance-ports.ts";
import { idRangeCheck } from "../../../server/host/preflight-ids.ts";

const etc = mkdtempSync(join(tmpdir(), "unshared-etc-"));
afterAll(() => rmSync(etc, { recursive: true }));
const usual = {
  passwd: "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:\n",
  group: "root:x:0:\nusers:x:100:a,b\n",
  subuid: "ann:100000:65536\n",
  subgid: "ann:100000:65536\n",
};
beforeEach(() => {
  for (const [name, text] of Object.entries(usual)) writeFileSync(join(etc, name), text);
});
const check = () => idRangeCheck({ idBase: 1_000_000_000 } as LauncherFacts, etc);
const add = (name: keyof typeof usual, line: string) => writeFileSync(join(etc, name), `${usual[name]}${line}\n`);

it("ids that nobody has are well, also where a file is missing or says nonsense", async () => {
  const well = {
    name: "id-range",
    status: "ok",
    detail: "1000000000 to 1268435455, of which nobody else has any",
    cost: null,
    remedy: null,
  };
  expect(await check()).toEqual(well);
  rmSync(join(etc, "subgid"));
  for (const line of ["", "ann", "ann::", "ann:x:y", "ann:1000000000:", "ann:1000000000:0", "ann:1000000000:-1"]) {
    add("subuid", line);
    expect(await check(), line).toEqual(well);
  }
});

it.each([
  ["passwd", "far:x:1000000000:100::/:", "passwd: far 1000000000", 1_000_013_824],
  ["passwd", "far:x:1268435455:100::/:", "passwd: far 1268435455", 1_268_449_280],
  ["group", "far:x:1000000001:", "group: far 1000000001", 1_000_013_824],
  ["subuid", "root:1000000:1000000000", "subuid: root 1000000 to 1000999999", 1_001_062_400],
  ["subgid", "bob:1268435455:65536", "subgid: bob 1268435455 to 1268500990", 1_268_514_816],
] as const)("an entry of %s that has some is weak: %s", async (name, line, told, free) => {
  add(name, line);
  const found = await check();
  expect(found).toMatchObject({ status: "weak", detail: expect.stringContaining(told), remedy: `--id-base ${free}` });
  expect(await idRangeCheck({ idBase: free } as LauncherFacts, etc)).toMatchObject({ status: "ok" });
});

it.each([
  ["passwd", "near:x:999999999:100::/:"],
  ["passwd", "near:x:1268435456:100::/:"],
  ["subuid", "unshared:1000000000:268435456"],
] as const)("an entry of %s beside it, or its own, is well: %s", async (name, line) => {
  add(name, line);
  expect(await check()).toMatchObject({ status: "ok" });
});

it("where all that follows is taken there is no number to name", async () => {
  add("subuid", "root:1000000000:3294967296");
  expect(await check()).toMatchObject({ status: "weak", remedy: "free a range, and name it by --id-base" });
});
