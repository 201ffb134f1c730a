import { section } from "./check.ts";
import { filesystemChecks } from "./filesystem.checks.ts";

section("filesystem", 3_130_000_000, filesystemChecks);
