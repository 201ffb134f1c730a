import { open } from "node:fs/promises";
import { join } from "node:path";
import { makeScratch } from "./scratch.ts";

/** Microseconds that this disk takes to make 4 KiB appended to a file durable (fdatasync(2)): what storing an intent costs at least. */
export const measureDisk = async (count = 50): Promise<number[]> => {
  const file = await open(join(await makeScratch("disk"), "log"), "a");
  const page = Buffer.alloc(4096, 1);
  const samples: number[] = [];
  try {
    for (let i = 0; i < count; i++) {
      await file.write(page);
      const began = performance.now();
      await file.datasync();
      samples.push((performance.now() - began) * 1000);
    }
  } finally {
    await file.close();
  }
  return samples;
};
