/** Checks against mutants: what shows that a check can fail, and that each layer has a check. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allChecks, battery } from "./battery.ts";
import { type Check, Unsupported } from "./check.ts";
import { elsewhere, missing } from "./elsewhere.ts";
import { type Mutant, type Mutants, mutants, switches } from "./mutants.ts";
import { type Result, reportOf } from "./report.ts";
import { Stage, ways } from "./stage.ts";

/** Every check with every mutant, and the report written anew; else for each mutant one check that it turns red. */
const isFull = process.env["UNSHARED_TEST_LONG"] === "1";
const repository = resolve(import.meta.dirname, "../..");
const reportPath = join(import.meta.dirname, "REPORT.md");

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("matrix", 3_100_000_000, true);
});
afterAll(() => stage?.[Symbol.asyncDispose]());

/** Red is what the check itself found: an error of another kind is a fault of the test. */
const outcomeOf = async (check: Check): Promise<Result> => {
  const began = performance.now();
  const result = (outcome: Result["outcome"], note = ""): Result => ({ outcome, note, milliseconds: performance.now() - began });
  try {
    return result("green", (await check.run(stage)) ?? "");
  } catch (error) {
    if (error instanceof Unsupported) return result("skipped", error.message);
    const { name, message } = error as Error;
    return result(name === "AssertionError" ? "red" : "broken", message);
  }
};

/** All single ones, then the pairs that a check names. */
const columns: Mutants[] = [...new Set<Mutants>([...mutants, ...allChecks.flatMap(({ red }) => red)])];

/** The check that finds it: best one that names it first, and is quick. */
const finderOf = (mutant: Mutants): Check | undefined =>
  allChecks.findLast(({ red, slow }) => red[0] === mutant && !slow) ?? allChecks.find(({ red }) => red.includes(mutant));

const without = (mutant: Mutants): Promise<void> => stage.without(mutant.split("+") as Mutant[]);

describe("the build for tests", () => {
  const program = (variant: string) => readFileSync(join(repository, "build", variant, "unshared-supervisor"), "latin1");

  it("has a switch for each mutant, and the product has none of their names", () => {
    const supervisor = join(repository, "supervisor");
    const sources = readdirSync(supervisor).filter((name) => /\.[ch]$/.test(name));
    const text = sources.map((name) => readFileSync(join(supervisor, name), "utf8")).join("");
    const found = [...text.matchAll(/mutant\("([a-z-]+)"\)|\[NS_[A-Z]+\] = "(no-[a-z-]+)"/g)].map(([, one, other]) => one ?? other);
    expect([...new Set(found)].sort()).toEqual([...switches].sort());
    for (const name of ["UNSHARED_MUTANTS", ...switches]) {
      expect(program("mutants").includes(name), name).toBe(true);
      expect(program("").includes(`\0${name}\0`), name).toBe(false);
    }
  });
});

describe("checks and mutants", () => {
  it("each check names a mutant, and each mutant is named", () => {
    for (const { number, red } of allChecks) expect(red, `check ${number}`).not.toHaveLength(0);
    expect(columns.filter((mutant) => finderOf(mutant) === undefined)).toEqual([]);
    expect(new Set(allChecks.map(({ number }) => number)).size).toBe(allChecks.length);
  });

  if (!isFull)
    it.for(columns)("%s is found", async (mutant, { task }) => {
      const check = finderOf(mutant);
      task.meta.figure = `${check?.number}`;
      await without(mutant);
      const { outcome, note } = check ? await outcomeOf(check) : { outcome: "none", note: "no check finds it" };
      expect(`${outcome}: ${note}`, `check ${check?.number}`).toMatch(/^red: /);
    });

  it("without the filter a new user namespace is refused all the same: its count is 0", async () => {
    await stage.without(["no-seccomp"]);
    expect(await stage.probe("exec", "namespaces")).toMatchObject({
      "unshare user": "ENOSPC",
      "unshare user+mnt": "ENOSPC",
      "unshare mnt": "EPERM",
    });
  });

  it("without the filter a session keyring is of one process alone all the same, and the daemon's without that layer, too", async () => {
    const keyrings = async () => {
      const found = [];
      for (const way of ways) found.push((await stage.probe(way, "ipc", "session"))["session keyring"]);
      return new Set(found).size;
    };
    await stage.without(["no-seccomp"]);
    expect(await keyrings()).toBe(3);
    await stage.without(["no-seccomp", "no-keyring"]);
    expect(await keyrings()).toBe(1);
  });

  it("as root with all capabilities a chroot is left where there is no pivot_root, and not where there is", async () => {
    await stage.without(["caps-kept"]);
    expect(await stage.probe("main", "filesystem", "chroot")).toMatchObject({ chroot: "ok", "the top": "its own root" });
    await stage.without(["caps-kept", "no-pivot"]);
    expect(await stage.probe("main", "filesystem", "chroot")).toMatchObject({ chroot: "ok", "the top": "elsewhere" });
  });

  if (isFull)
    it("are run with one another, and the report is written", { timeout: 3_600_000 }, async () => {
      const results: Record<string, Map<number, Result>> = {};
      for (const mutant of [null, ...columns]) {
        const column = new Map<number, Result>();
        stage.isLong = mutant === null;
        await (mutant === null ? stage.without([]) : without(mutant));
        const isTried = ({ red, slow }: Check) => mutant === null || red.includes(mutant) || !(slow || mutant.includes("+"));
        for (const check of allChecks.filter(isTried)) {
          await stage.afresh();
          column.set(check.number, await outcomeOf(check));
        }
        results[mutant ?? "none"] = column;
        console.error(mutant ?? "none", [...column].map(([number, { outcome }]) => `${number} ${outcome}`).join(", "));
      }
      writeFileSync(reportPath, reportOf(battery, results));
      for (const check of allChecks) {
        const green = expect.stringMatching(/green|skipped/);
        expect(results["none"]?.get(check.number), `check ${check.number}`).toMatchObject({ outcome: green });
        for (const mutant of check.red)
          expect(results[mutant]?.get(check.number), `check ${check.number} with ${mutant}`).toMatchObject({ outcome: "red" });
      }
    });
});

const report = () => readFileSync(reportPath, "utf8");

describe("the report", () => {
  it("is of these checks and mutants", () => {
    for (const { number, title } of allChecks) expect(report()).toContain(`| ${number} | ${title} |`);
    for (const mutant of columns) expect(report()).toContain(`| \`${mutant}\` |`);
  });

  it("names tests of other files that are there, and say which check they are", () => {
    for (const [number, , file, name] of elsewhere) {
      const titles = [...readFileSync(join(repository, file), "utf8").matchAll(/["`]([^"`\n]+)["`],\s*(?:\{[^}]*\},\s*)?(?:async )?\(/g)];
      expect(
        titles.some(([, title]) => title?.includes(name) && new RegExp(`\\(check [\\d, ]*\\b${number}\\b[\\d, ]*\\)$`).test(title)),
        `${number} ${file}: ${name}`,
      ).toBe(true);
    }
  });

  it("leaves out no number of the battery, and says what is not checked", () => {
    const found = new Set([...allChecks, ...[...elsewhere, ...missing].map(([number]) => ({ number }))].map(({ number }) => number));
    expect([...found].sort((a, b) => a - b)).toEqual(Array.from({ length: 74 }, (_, index) => index + 1));
    for (const [, what, why] of missing) expect(report()).toContain(`| ${what} | ${why} |`);
    for (const [number, what] of elsewhere) expect(report()).toContain(`| ${number} | ${what} |`);
  });
});
