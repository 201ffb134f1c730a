/** What runs, as it changes: the sandboxes and the latest events, kept up by the daemon's stream of events. */
import { signal } from "@preact/signals";
import type { api } from "../../client/browser.ts";
import { pause } from "./pause.ts";
import { noticeFailure, session, watcher } from "./session.ts";

export type Connection = "connecting" | "live" | "offline";

export const connection = signal<Connection>("connecting");
/** By id, oldest first; null until they are known. */
export const sandboxes = signal<ReadonlyMap<string, api.Sandbox> | null>(null);
/** The newest first. */
export const recentEvents = signal<readonly api.Event[]>([]);
/** Counts what was heard, for whoever asks again after each event. */
export const heard = signal(0);

const keptEvents = 200;
/** Events come in bursts: what they are about is asked for once. */
const settleMilliseconds = 150;
/** More than so many at once are asked for as a list. */
const fewSandboxes = 4;

/** Follows until the signal aborts: when the person logs out. While nobody looks at the page it holds no connection. */
export const followLive = async (signal: AbortSignal): Promise<void> => {
  connection.value = "connecting";
  [sandboxes.value, recentEvents.value] = [null, []];
  for (let failures = 0; !signal.aborted; ) {
    await becameVisible(signal);
    const stop = new AbortController();
    const ended = AbortSignal.any([signal, stop.signal]);
    const hide = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      await loadAll(ended);
      connection.value = "live";
      failures = 0;
      await readEvents(ended);
    } catch (error) {
      if (signal.aborted) return;
      if (!stop.signal.aborted) {
        noticeFailure(error);
        connection.value = "offline";
        failures += 1;
      }
    } finally {
      document.removeEventListener("visibilitychange", hide);
      stop.abort();
    }
    await pause(Math.min(5_000, 250 * 2 ** failures), signal);
  }
};

const becameVisible = async (signal: AbortSignal): Promise<void> => {
  while (document.hidden && !signal.aborted) {
    const change = Promise.withResolvers<void>();
    document.addEventListener("visibilitychange", () => change.resolve(), { once: true });
    signal.addEventListener("abort", () => change.resolve(), { once: true });
    await change.promise;
  }
};

const loadAll = async (signal: AbortSignal): Promise<void> => {
  const found = new Map<string, api.Sandbox>();
  for await (const { report } of watcher.value.sandboxes.list({ signal })) found.set(report.id, report);
  sandboxes.value = found;
};

/** The last ones come first, so that nothing is missed between the list and the stream. */
const readEvents = async (signal: AbortSignal): Promise<void> => {
  const newest = recentEvents.value[0]?.id ?? 0;
  const dirty = new Set<string>();
  let isSettling = false;
  const settle = () => {
    isSettling = false;
    const ids = [...dirty];
    dirty.clear();
    heard.value += 1;
    const work = ids.length > fewSandboxes ? loadAll(signal) : Promise.all(ids.map((id) => loadOne(id, signal)));
    // The stream itself tells that the daemon is gone.
    work.catch(noticeFailure);
  };
  for await (const event of watcher.value.events({ tail: keptEvents, gaps: "skip", signal })) {
    if ((event.id ?? 0) > newest) recentEvents.value = [event, ...recentEvents.value].slice(0, keptEvents);
    if (event.type?.startsWith("sandbox.") === true && event.subject !== undefined) dirty.add(event.subject);
    if (isSettling) continue;
    isSettling = true;
    setTimeout(settle, settleMilliseconds);
  }
};

const loadOne = async (id: string, signal: AbortSignal): Promise<void> => {
  const found = await session.value.sandboxes.get(id, { signal }).catch((error: unknown) => {
    if ((error as { code?: string }).code === "sandbox-not-found") return null;
    throw error;
  });
  putSandbox(id, found?.report ?? null);
};

/** Puts what an answer told in its place at once; null: it is gone. */
export const putSandbox = (id: string, report: api.Sandbox | null): void => {
  const known = new Map(sandboxes.value);
  if (report === null) known.delete(id);
  else known.set(id, report);
  sandboxes.value = known;
};
