import { section } from "./check.ts";
import { privilegesChecks } from "./privileges.checks.ts";

section("privileges", 3_120_000_000, privilegesChecks);
