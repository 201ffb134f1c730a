/** The isolation battery in a guest: its test files are run there as they are run here, by the same command. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Guest } from "./guest.ts";

/** Without hardware support a processor is about so many times slower, beside other tests. */
const slowness = 20;
const tree = "/srv/repository";
const longest = 3_500_000;

/** One test of a file, as it ended there. */
export interface Found {
  /** As in test/expected-skips.txt: "FILE > SUITE > TEST". */
  name: string;
  title: string;
  outcome: "passed" | "failed" | "skipped";
  /** The figure, why it was skipped, or how it failed. */
  note: string;
  milliseconds: number;
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Assertion {
  ancestorTitles: string[];
  title: string;
  status: string;
  duration?: number;
  meta: { figure?: string };
  failureMessages: string[];
}
interface Written {
  testResults: { name: string; status: string; message: string; assertionResults: Assertion[] }[];
}

/** Makes the repository writable, as a checkout is; not by an overlay, whose files have other numbers in /proc/PID/maps than in stat(2). */
export const layOut = (guest: Guest): Promise<string> => guest.run(`cp -a /mnt/repository ${tree}`, 900_000);

/** Runs one file of test/isolation. @throws Error where it could not be run, or fails as a whole */
export const runFile = async (guest: Guest, file: string): Promise<Found[]> => {
  const environment = `UNSHARED_TEST_SLOWNESS=${slowness} UNSHARED_TEST_GOLDEN=debian PATH=/usr/sbin:/usr/bin:/sbin:/bin`;
  const vitest = `/mnt/node node_modules/vitest/vitest.mjs run test/isolation/${file}.test.ts --reporter=json --outputFile=/tmp/found.json`;
  const text = await guest.run(
    `cd ${tree} && rm -f /tmp/found.json; ${environment} ${vitest} >/tmp/vitest.log 2>&1 </dev/null
     [[ -s /tmp/found.json ]] || { cat /tmp/vitest.log; exit 1; }; cat /tmp/found.json`,
    longest,
  );
  return foundIn(text).get(file) ?? [];
};

/** What the JSON reporter says of each file, by its name. @throws Error where one fails as a whole */
export const foundIn = (text: string): Map<string, Found[]> =>
  new Map(
    (JSON.parse(text) as Written).testResults.map(({ name, status, message, assertionResults }) => {
      const path = name.slice(name.indexOf("test/isolation/"));
      if (status === "failed" && !assertionResults.some((each) => each.status === "failed")) throw new Error(`${path}: ${message}`);
      return [basename(path, ".test.ts"), assertionResults.map((each) => foundOf(path, each))];
    }),
  );

const foundOf = (path: string, { ancestorTitles, title, status, duration = 0, failureMessages, meta }: Assertion): Found => {
  const outcome = status === "passed" || status === "failed" ? status : "skipped";
  const note = outcome === "failed" ? failureMessages.join("\n") : (meta.figure ?? "");
  return { name: [path, ...ancestorTitles, title].join(" > "), title, outcome, note, milliseconds: duration };
};

/** Those that may be skipped there, and must be: a list in the form of test/expected-skips.txt. */
export const expectedSkips = (): string[] =>
  readFileSync(join(import.meta.dirname, "battery-skips.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
