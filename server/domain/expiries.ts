import type { Instances } from "./instances.ts";
import { deadlines, lifecycle, maybeAlive } from "./lifecycle.ts";
import type { Removals } from "./removals.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, type SandboxRoom } from "./sandbox-room.ts";
import { endInstance } from "./stops.ts";

/** Between TERM and KILL of one that is to be stopped; one that is to be deleted is killed at once, as by a caller's delete. */
const graceMilliseconds = 10_000;

/** Which of its two deadlines is over. */
export const expiredBy = ({ schedule: { expiresAt, idleAt } }: SandboxRow, now: number): "ttl" | "idle" | null => {
  if (expiresAt !== null && expiresAt <= now) return "ttl";
  return idleAt !== null && idleAt <= now ? "idle" : null;
};

const messages = { ttl: "its time to live was over", idle: "nobody used it for as long as it may be idle" };

/**
 * Ends a sandbox whose lifetime is over, as its definition says; resolves when that is done. That it expired is stored first: a
 * daemon that ends meanwhile leaves the rest to the next one. An end that is under way for another reason keeps that reason.
 */
export const expire = async (room: SandboxRoom, instances: Instances, removals: Removals, id: string): Promise<void> => {
  const isEnding = room.store.get(id)?.state === "stopping" && room.store.get(id)?.reason !== "expired";
  if (isEnding) await instances.ended(id, deadlines.stopping ?? 0);
  await removals.current(id)?.catch(() => {});
  const now = room.clock.now();
  const row = room.store.get(id);
  const by = row && expiredBy(row, now);
  if (row === null || by === null || (isEnding && maybeAlive(row.state))) return;
  if (row.reason !== "expired") mark(room, row, by);
  if (row.definition.lifetime.onExpiry === "delete") await removals.remove(id, "expired");
  else if (maybeAlive(row.state)) await endInstance(room, instances, id, graceLeft(room, id));
  await room.persistence.durable();
};

/** What a former daemon began has less of it left. */
const graceLeft = (room: SandboxRoom, id: string): number => Math.max(0, (room.store.get(id)?.stopBy ?? 0) - room.clock.now());

const mark = (room: SandboxRoom, row: SandboxRow, by: "ttl" | "idle"): void => {
  const { onExpiry } = row.definition.lifetime;
  const isAlive = maybeAlive(row.state);
  const stop = lifecycle[row.state].stop;
  const now = room.clock.now();
  // What is left to be done stays due.
  const expiresAt = isAlive || onExpiry === "delete" ? Math.min(row.schedule.expiresAt ?? now, now) : null;
  const changes = {
    reason: "expired",
    message: messages[by],
    stopBy: isAlive ? now + (onExpiry === "delete" ? 0 : graceMilliseconds) : null,
    schedule: { ...row.schedule, expiresAt, idleAt: null, restartAt: null },
  };
  room.persistence.transaction(() => {
    room.events.append("sandbox.expired", row.id, { name: row.name, by, onExpiry });
    enter(room, row, stop.act === "to" ? stop.state : row.state, changes);
  });
  room.log.info({ sandbox: row.id, by, onExpiry }, "a sandbox expired");
};
