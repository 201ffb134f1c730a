import { section } from "./check.ts";
import { filesChecks } from "./files.checks.ts";

section("files", 3_190_000_000, filesChecks);
