import { section } from "./check.ts";
import { namespacesChecks } from "./namespaces.checks.ts";

section("namespaces", 3_110_000_000, namespacesChecks);
