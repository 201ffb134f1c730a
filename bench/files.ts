import { randomBytes } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { clientSamples, spawnSamples } from "./native.ts";
import { run } from "./program.ts";
import type { Column, Race, Subject } from "./race.ts";
import { makeScratch } from "./scratch.ts";
import { dockerAbsent, type Stage, withDocker } from "./stage.ts";

const columns: Column[] = [
  { title: "in, MB/s, p50", take: "upload", share: 0.5, digits: 0 },
  { title: "out, MB/s, p50", take: "download", share: 0.5, digits: 0 },
];

/** Moves the file and answers the microseconds that it took. */
type Move = (file: string) => Promise<number>;

/** One file of so many MiB, from the disk into a sandbox and back to the same disk. */
export const filesRace = async (stage: Stage, mebibytes: number): Promise<Race> => {
  const place = await makeScratch("files");
  const [source, copy, back] = [join(place, "source"), join(place, "copy"), join(place, "back")];
  await fill(source, mebibytes);
  const timed = async (command: readonly string[]): Promise<number> => (await spawnSamples(command, { count: 1 })).cycle[0] ?? Number.NaN;
  /** Each move begins with nothing left to be written back, and what came back has to be what went in. */
  const subject = (name: string, what: string, upload: Move, download: Move): Subject => ({
    name,
    what,
    takes: {
      upload: async () => {
        await run("sync", ["-f", place]);
        return [(mebibytes * 2 ** 20) / (await upload(source))];
      },
      download: async () => {
        await rm(back, { force: true });
        await run("sync", ["-f", place]);
        const rate = (mebibytes * 2 ** 20) / (await download(back));
        await run("cmp", [source, back]);
        return [rate];
      },
    },
  });
  const path = `/v1/sandboxes/${stage.sandbox.id}/files?path=/file`;
  const client =
    (mode: "upload" | "download"): Move =>
    async (file) =>
      (await clientSamples(mode, { socket: stage.socket, path, file })).cycle[0] ?? Number.NaN;
  const synced = (from: string, to: string): string[] => ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", from, to];
  return {
    title: "Files",
    columns,
    ratio: { title: "in, × cp + sync", take: "upload", to: "cp + sync" },
    subjects: [
      subject(
        "unshared",
        "over HTTP with a C client; what goes in is on the disk when the answer comes",
        client("upload"),
        client("download"),
      ),
      subject(
        "cp + sync",
        "`cp` and `sync` of the copy, without any sandbox",
        (file) => timed(synced(file, copy)),
        (file) => timed(synced(copy, file)),
      ),
      subject(
        "cp",
        "`cp` alone: the copy is in memory",
        (file) => timed(["cp", file, copy]),
        (file) => timed(["cp", copy, file]),
      ),
      ...withDocker(stage, ({ command, container }) =>
        subject(
          "docker",
          "`docker cp`: the copy is in memory",
          (file) => timed([...command, "cp", file, `${container}:/file`]),
          (file) => timed([...command, "cp", `${container}:/file`, file]),
        ),
      ),
    ],
    absent: dockerAbsent(stage),
  };
};

const fill = async (path: string, mebibytes: number): Promise<void> => {
  const piece = randomBytes(1 << 20);
  const file = await open(path, "w");
  try {
    for (let i = 0; i < mebibytes; i++) await file.write(piece);
  } finally {
    await file.close();
  }
};
