import type { Check } from "../isolation/check.ts";
import type { Found } from "./battery.ts";

/** Of the machine that it was. */
export interface Guestly {
  system: string;
  kernel: string;
  cgroups: string;
}

/** DEBIAN.md. `found`: tests by the name of their file; those of "matrix" tell which mutants are found. */
export const debianReport = (
  { system, kernel, cgroups }: Guestly,
  battery: Record<string, readonly Check[]>,
  found: ReadonlyMap<string, readonly Found[]>,
): string => {
  const all = [...found.values()].flat();
  const count = (outcome: Found["outcome"], list = all) => list.filter((each) => each.outcome === outcome).length;
  const mutants = (found.get("matrix") ?? []).filter(({ title }) => title.endsWith(" is found"));
  const lines = [
    "# The isolation battery on a stock Debian",
    "",
    "Written by `UNSHARED_TEST_VM=1 UNSHARED_TEST_LONG=1 script/test vm/battery`; do not edit. The test files of this folder were run as root in a",
    "virtual machine without hardware support, whose processors are many times slower: all times that a check asserts are scaled (README.md).",
    "`test/vm/battery-skips.txt` says why a test is skipped there; any other skip fails the run.",
    "",
    `${system}, kernel ${kernel}, cgroups ${cgroups}. ${all.length} tests: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped.`,
    `${count("passed", mutants)} of ${mutants.length} mutants are found.`,
  ];
  const head = ["", "| | check | outcome | figure | ms |", "|---|---|---|---|---|"];
  for (const [section, checks] of Object.entries(battery)) {
    lines.push("", `## ${section}`, ...head);
    for (const { number, title } of checks) {
      const test = all.find((each) => each.title === `${number} ${title}`);
      lines.push(
        `| ${number} | ${title} | ${test ? outcomeOf(test) : "not run"} | ${cell(test?.note)} | ${Math.round(test?.milliseconds ?? 0)} |`,
      );
    }
  }
  lines.push("", "## Mutants", "", "| layer taken away | outcome | check |", "|---|---|---|");
  for (const mutant of mutants)
    lines.push(
      `| \`${mutant.title.replace(/ is found$/, "")}\` | ${mutant.outcome === "passed" ? "found" : outcomeOf(mutant)} | ${cell(mutant.note)} |`,
    );
  const titles = new Set(Object.values(battery).flatMap((checks) => checks.map(({ number, title }) => `${number} ${title}`)));
  const others = all.filter((each) => !titles.has(each.title) && !mutants.includes(each));
  lines.push("", "## Other tests of this folder", "", "| test | outcome | ms |", "|---|---|---|");
  for (const other of others)
    lines.push(
      `| ${other.name.replace(/^test\/isolation\//, "").replaceAll("|", "\\|")} | ${outcomeOf(other)} | ${Math.round(other.milliseconds)} |`,
    );
  return `${lines.join("\n")}\n`;
};

/** In the words of REPORT.md. */
const outcomeOf = ({ outcome }: Found): string => ({ passed: "green", failed: "red", skipped: "skipped" })[outcome];

const cell = (text = ""): string => (text.split("\n")[0] ?? "").replaceAll("|", "\\|").slice(0, 160);
