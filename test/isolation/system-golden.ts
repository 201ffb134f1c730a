import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Lists of what one system shows: golden/NAME-SYSTEM.txt, where UNSHARED_TEST_GOLDEN names the system, as test/vm does. On other machines
 * null: their kernels are what they are, and only the rules hold.
 */
export const systemGolden = (name: string): string[] | null => {
  const system = process.env["UNSHARED_TEST_GOLDEN"];
  if (system === undefined) return null;
  return readFileSync(join(import.meta.dirname, `golden/${name}-${system}.txt`), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
};
