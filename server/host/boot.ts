import { readFileSync } from "node:fs";

/** The id of this boot of the kernel (random(4), /proc/sys/kernel/random/boot_id). */
export const readBootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
