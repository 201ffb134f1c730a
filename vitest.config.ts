import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A virtual machine without hardware support takes minutes, and is fetched from the network first.
    exclude: process.env["UNSHARED_TEST_VM"] === "1" ? configDefaults.exclude : [...configDefaults.exclude, "test/vm/**"],
    // Tests start daemons and read /proc/self: each file gets a process of its own, with its own state directories.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", "./test/run-summary.ts"],
  },
});
