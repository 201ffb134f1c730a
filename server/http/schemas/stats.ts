import { Type } from "typebox";
import { states } from "../../domain/lifecycle.ts";
import { exampleReport } from "./sandbox-examples.ts";
import { Nullable, OneOf, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false };

const Pressure = Type.Object({
  some10: Type.Number({ description: "Percent of the last 10 seconds in which some task waited for it." }),
  some60: Type.Number({ description: "The same for 60 seconds." }),
  totalSeconds: Type.Number(),
});

/** What tasks of a sandbox, or of the host, waited for. */
export const Pressures = Type.Object(
  { cpu: Pressure, memory: Pressure, io: Pressure },
  { description: "Null where the kernel does not tell it." },
);

/** What a sandbox uses (domain/stats.ts). */
export const SandboxUsage = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    state: OneOf(states),
    time: Timestamp,
    usage: Nullable(
      Type.Object(
        {
          cpu: Type.Object({ usageSeconds: Type.Number(), userSeconds: Type.Number(), systemSeconds: Type.Number() }),
          throttling: Nullable(
            Type.Object(
              { periods: Type.Integer(), throttledPeriods: Type.Integer(), throttledSeconds: Type.Number() },
              { description: "By the quota `limits.cpus`; null without one." },
            ),
          ),
          memory: Nullable(
            Type.Object({
              currentBytes: Type.Integer(),
              peakBytes: Nullable(Type.Integer({ description: "Null on kernels before 5.19 with cgroup version 2." })),
              limitBytes: Nullable(Type.Integer()),
              anonymousBytes: Type.Integer(),
              fileBytes: Type.Integer({ description: "Page cache, with tmpfs and shared memory." }),
              oomKills: Type.Integer(),
            }),
          ),
          pids: Nullable(
            Type.Object({
              current: Type.Integer({ description: "Processes and threads." }),
              limit: Nullable(Type.Integer()),
              refused: Type.Integer({ description: "How often the limit stopped a fork." }),
            }),
          ),
          io: Nullable(
            Type.Object(
              { readBytes: Type.Integer(), writtenBytes: Type.Integer(), reads: Type.Integer(), writes: Type.Integer() },
              { description: "Null where the host's cgroup version 2 has no io controller here." },
            ),
          ),
          disk: Nullable(
            Type.Object(
              {
                mechanism: OneOf(["image", "quota"]),
                limitBytes: Type.Integer(),
                usedBytes: Type.Integer(),
                availableBytes: Type.Integer({ description: "What can still be written; the filesystem keeps some for itself." }),
              },
              {
                description:
                  "Of `limits.diskBytes`; null without one. `image`: a loop-mounted ext4 filesystem in a sparse file. `quota`: the host's ext4 or XFS, by project quota.",
              },
            ),
          ),
          network: Nullable(
            Type.Object(
              {
                receivedBytes: Type.Integer(),
                receivedPackets: Type.Integer(),
                sentBytes: Type.Integer(),
                sentPackets: Type.Integer(),
              },
              { description: "All interfaces but the loopback; null where the host's network is shared." },
            ),
          ),
          pressure: Nullable(Pressures),
        },
        {
          description:
            "As the kernel counts it since the sandbox was started. Null unless it runs; a part that is not counted here is null.",
        },
      ),
    ),
  },
  {
    examples: [
      {
        id: exampleReport.id,
        name: exampleReport.name,
        state: "running",
        time: "2026-11-24T10:00:00.000Z",
        usage: {
          cpu: { usageSeconds: 0.012, userSeconds: 0.008, systemSeconds: 0.004 },
          throttling: { periods: 20, throttledPeriods: 3, throttledSeconds: 0.05 },
          memory: {
            currentBytes: 1_310_720,
            peakBytes: 2_097_152,
            limitBytes: 268_435_456,
            anonymousBytes: 1_048_576,
            fileBytes: 131_072,
            oomKills: 0,
          },
          pids: { current: 2, limit: 64, refused: 0 },
          io: null,
          disk: { mechanism: "image", limitBytes: 67_108_864, usedBytes: 1_048_576, availableBytes: 56_000_512 },
          network: { receivedBytes: 0, receivedPackets: 0, sentBytes: 0, sentPackets: 0 },
          pressure: null,
        },
      },
    ],
  },
);

export const StatsQuery = Type.Object(
  { stream: Type.Boolean({ default: false, description: "Server-Sent Events, one a second, for as long as it runs." }) },
  strict,
);
