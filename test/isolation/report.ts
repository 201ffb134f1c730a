import { readFileSync } from "node:fs";
import { release } from "node:os";
import type { Check } from "./check.ts";
import { elsewhere, missing } from "./elsewhere.ts";

/** Of one check, with one mutant or with none. `broken`: it could not find out, as where the launch itself failed. */
export interface Result {
  outcome: "green" | "red" | "skipped" | "broken";
  /** The figure, the finding, or why it was skipped. */
  note: string;
  milliseconds: number;
}

/** REPORT.md. `results`: by mutant ("none" for sandboxes as they are), then by the number of the check. */
export const reportOf = (battery: Record<string, readonly Check[]>, results: Record<string, Map<number, Result>>): string => {
  const mutants = Object.keys(results).filter((name) => name !== "none");
  const found = (name: string, { number }: Check): Result | undefined => results[name]?.get(number);
  const checks = Object.values(battery).flat();
  const count = (outcome: string) => checks.filter((check) => found("none", check)?.outcome === outcome).length;
  const killed = (check: Check) => mutants.filter((name) => found(name, check)?.outcome === "red");
  const lines = [
    "# The isolation battery: the last full run",
    "",
    "Written by `UNSHARED_TEST_LONG=1 script/test isolation/matrix`; do not edit. Each check was run with sandboxes as they are, and again",
    "with each layer taken away (a mutant, `supervisor/mutants.h`). Where its outcome is then red, the check is known to be able to fail.",
    "A check that takes seconds, and pairs of mutants, are tried only with those that they name.",
    "",
    `Kernel ${release()}, cgroups ${cgroupLayout()}. ${checks.length} checks: ${count("green")} green, ${count("red")} red, ${count("skipped")} skipped, ${count("broken")} broken.`,
    `${mutants.filter((name) => checks.some((check) => found(name, check)?.outcome === "red")).length} of ${mutants.length} mutants are found.`,
  ];
  for (const [section, list] of Object.entries(battery)) {
    lines.push("", `## ${section}`, "", "| | check | outcome | figure | ms | red with |", "|---|---|---|---|---|---|");
    for (const check of list) {
      const { outcome = "broken", note = "", milliseconds = 0 } = found("none", check) ?? {};
      const red = killed(check).map((name) => `\`${name}\``);
      lines.push(
        `| ${check.number} | ${check.title} | ${outcome} | ${cell(note)} | ${Math.round(milliseconds)} | ${red.join(" ") || "nothing"} |`,
      );
    }
  }
  lines.push("", "## Mutants", "", "| layer taken away | red checks | not to be told, as nothing started |", "|---|---|---|");
  for (const name of mutants) {
    const with_ = (outcome: string) => checks.filter((check) => found(name, check)?.outcome === outcome).map(({ number }) => number);
    lines.push(`| \`${name}\` | ${with_("red").join(" ")} | ${with_("broken").join(" ")} |`);
  }
  lines.push("", "## In other test files", "", "| | what | test |", "|---|---|---|");
  for (const [number, what, file, name] of elsewhere) lines.push(`| ${number} | ${what} | \`${file}\`: ${name} |`);
  lines.push("", "## Not checked", "", "| | what | why |", "|---|---|---|");
  for (const [number, what, why] of missing) lines.push(`| ${number} | ${what} | ${why} |`);
  return `${lines.join("\n")}\n`;
};

const cell = (text: string): string => (text.split("\n")[0] ?? "").replaceAll("|", "\\|").slice(0, 160);

const cgroupLayout = (): string => (/ \/sys\/fs\/cgroup cgroup2 /.test(readFileSync("/proc/self/mounts", "utf8")) ? "v2" : "hybrid");
