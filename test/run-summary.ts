import { readFileSync, writeFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule } from "vitest/node";

/** Counts of one run: a test each, and one failure for each file that could not be loaded and each unhandled error. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function expectedSkips(): string[] {
  const lines = readFileSync(new URL("expected-skips.txt", import.meta.url), "utf8").split("\n");
  return lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function countTests(modules: readonly TestModule[], forbidSkips: boolean): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const expected = forbidSkips ? expectedSkips() : [];
  for (const module of modules) {
    // A file that fails as a whole (import, syntax, a hook outside its tests) has no failed test to show for it.
    counts.failed += module.errors().length > 0 ? 1 : 0;
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length > 0 ? 1 : 0;
    for (const test of module.children.allTests()) {
      const state = test.result().state;
      if (state === "passed") counts.passed += 1;
      else if (state === "failed" || state === "pending") counts.failed += 1;
      else if (!forbidSkips || expected.includes(nameOf(test))) counts.skipped += 1;
      else {
        counts.failed += 1;
        console.error(`skipped, and not named in test/expected-skips.txt: ${nameOf(test)}`);
      }
    }
  }
  return counts;
}

/**
 * Vitest reporter that leaves "passed failed skipped" in the file named by UNSHARED_TEST_COUNTS, for script/test.
 * With UNSHARED_FORBID_SKIPS=1 a skip counts as failed unless test/expected-skips.txt names it.
 */
export default class RunSummary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts = countTests(modules, process.env.UNSHARED_FORBID_SKIPS === "1");
    counts.failed += unhandled.length;
    const file = process.env.UNSHARED_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, `${counts.passed} ${counts.failed} ${counts.skipped}\n`);
  }
}
