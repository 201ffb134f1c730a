import { section } from "./check.ts";
import { descriptorsChecks } from "./descriptors.checks.ts";

section("descriptors", 3_150_000_000, descriptorsChecks);
