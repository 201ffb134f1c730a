import type { DefinitionInput } from "./definition.ts";
import { maybeAlive } from "./lifecycle.ts";
import { type RestartDecision, restartAfter } from "./restarts.ts";
import type { SandboxRow, Schedule } from "./sandbox-ports.ts";

export const unscheduled: Schedule = { expiresAt: null, idleAt: null, restartAt: null, restartCount: 0 };

export const timeAfter = (now: number, seconds: number | null): number | null => (seconds === null ? null : now + seconds * 1000);

/**
 * Whether its lifetime still runs: while it runs, or is to run again by itself. One that is to be deleted when it expires is so also
 * when it has ended meanwhile, unless a caller stopped it: then it is in the caller's hands.
 */
export const hasLifetime = ({ state, reason, schedule, definition, startedAt }: SandboxRow): boolean =>
  maybeAlive(state) ||
  schedule.restartAt !== null ||
  ((startedAt !== null || schedule.restartCount > 0) && definition.lifetime.onExpiry === "delete" && reason !== "stopped-by-user");

/** The schedule that goes with a change of the state, and whether the restarts are used up. */
export const scheduleAfter = (
  before: SandboxRow,
  row: SandboxRow,
  now: number,
  random: number,
): { schedule: Schedule; restart: RestartDecision } => {
  const { schedule, definition } = row;
  const none = { kind: "none" } as const;
  if (before.state === "starting" && row.state === "running") {
    const { ttlSeconds, idleSeconds } = definition.lifetime;
    const expiresAt = schedule.expiresAt ?? timeAfter(row.startedAt ?? now, ttlSeconds);
    return { schedule: { ...schedule, expiresAt, idleAt: timeAfter(now, idleSeconds) }, restart: none };
  }
  if (maybeAlive(row.state) || !maybeAlive(before.state)) return { schedule, restart: none };
  const restart = restartAfter(before, row, now, random);
  const restartCount = restart.kind === "none" ? schedule.restartCount : restart.count;
  const rested: Schedule = { ...schedule, restartAt: restart.kind === "restart" ? restart.at : null, restartCount };
  const keeps = hasLifetime({ ...row, schedule: rested });
  return { schedule: keeps ? rested : { ...rested, expiresAt: null, idleAt: null }, restart };
};

/**
 * The schedule after a change of the definition, which the row has already. Times that are named count from now on, as far as it has a
 * lifetime at all; a restart that its policy is against by now is cancelled. What has expired stays so.
 */
export const scheduleRedefined = (row: SandboxRow, { lifetime = {} }: Pick<DefinitionInput, "lifetime">, now: number): Schedule => {
  const { schedule, definition, reason } = row;
  const { expiresAt, idleAt } = schedule;
  if (reason === "expired" || Math.min(expiresAt ?? now + 1, idleAt ?? now + 1) <= now) return schedule;
  const mayRestart = reason === "host-rebooted" ? definition.autostart : definition.restart.policy !== "never";
  const next: Schedule = {
    ...schedule,
    expiresAt: lifetime.ttlSeconds === undefined ? expiresAt : timeAfter(now, lifetime.ttlSeconds),
    idleAt: lifetime.idleSeconds === undefined ? idleAt : timeAfter(now, lifetime.idleSeconds),
    restartAt: mayRestart ? schedule.restartAt : null,
  };
  return hasLifetime({ ...row, schedule: next }) ? next : { ...next, expiresAt: null, idleAt: null };
};
