import { configDefaults, defineConfig } from "vitest/config";
import { slowness } from "./test/fixtures/slowness.ts";

const asked = (name: string): boolean => process.env[name] === "1";
// A virtual machine without hardware support takes minutes, and is fetched from the network first; the whole battery in it takes an hour,
// and trinity a quarter.
const notAsked = [
  ...(asked("UNSHARED_TEST_VM") ? [] : ["test/vm/**"]),
  ...(asked("UNSHARED_TEST_LONG") ? [] : ["test/vm/battery.test.ts", "test/vm/trinity.test.ts"]),
];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...notAsked],
    // Tests start daemons and read /proc/self: each file gets a process of its own, with its own state directories.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000 * slowness,
    hookTimeout: 60_000 * slowness,
    reporters: ["default", "./test/run-summary.ts"],
  },
});
