import { useEffect, useState } from "preact/hooks";
import type { api } from "../../../client/browser.ts";
import { Button } from "../components/button.tsx";
import { EventTable } from "../components/event-table.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loading } from "../components/states.tsx";
import { attempt } from "../components/toasts.tsx";
import { connection, recentEvents } from "../live.ts";
import { place, setQuery } from "../router.ts";
import { session } from "../session.ts";

/** Asked for at a time, of what is older than what is there. */
const olderEvents = 500;

const kinds = ["sandbox", "root", "token", "daemon"] as const;

const textOf = ({ type, subject, data }: api.Event): string => `${type} ${subject} ${JSON.stringify(data ?? {})}`.toLowerCase();

/** Those before `first` that are held, oldest first. */
const eventsBefore = async (first: number): Promise<api.Event[]> => {
  const found: api.Event[] = [];
  const options = { after: Math.max(0, first - olderEvents - 1), follow: false, gaps: "skip" } as const;
  for await (const event of session.value.events(options)) {
    if ((event.id ?? 0) >= first) break;
    found.push(event);
  }
  return found;
};

/** What happens, as it does, and what happened before. */
export const EventsPage = () => {
  const [older, setOlder] = useState<readonly api.Event[]>([]);
  /** What is shown while new ones are held back. */
  const [frozen, setFrozen] = useState<readonly api.Event[] | null>(null);
  const [isAtStart, setAtStart] = useState(false);
  const [isLoading, setLoading] = useState(false);
  const kind = place.value.query.get("kind") ?? "";
  const query = place.value.query.get("q") ?? "";
  const latest = frozen ?? recentEvents.value;

  // Only what joins on to the live ones is kept: where many came at once there would be a hole.
  const oldestLive = latest.at(-1)?.id ?? null;
  useEffect(() => {
    if (oldestLive !== null && older.length > 0 && (older[0]?.id ?? 0) < oldestLive - 1) {
      setOlder([]);
      setAtStart(false);
    }
  }, [oldestLive]);

  const joined = [...latest, ...older.filter(({ id }) => oldestLive === null || (id ?? 0) < oldestLive)];
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = joined.filter(
    (event) => (kind === "" || event.type?.startsWith(`${kind}.`) === true) && words.every((word) => textOf(event).includes(word)),
  );
  const isFiltered = kind !== "" || words.length > 0;

  const loadOlder = async (): Promise<void> => {
    const first = joined.at(-1)?.id;
    if (first === undefined) return;
    setLoading(true);
    await attempt(async () => {
      const before = await eventsBefore(first);
      if (before.length === 0) setAtStart(true);
      setOlder([...older, ...before.toReversed()]);
    });
    setLoading(false);
  };

  return (
    <>
      <PageHead title="Events" about="What happened to sandboxes, roots, tokens and the daemon, newest first.">
        <Button icon={frozen === null ? "pause" : "play"} onClick={() => setFrozen(frozen === null ? recentEvents.value : null)}>
          {frozen === null ? "Hold" : "Go on"}
        </Button>
      </PageHead>
      <search class="filters">
        <input
          type="search"
          aria-label="Search events"
          placeholder="Name, id, type …"
          value={query}
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
        />
        <select aria-label="About" value={kind} onChange={(event) => setQuery({ kind: event.currentTarget.value })}>
          <option value="">about anything</option>
          {kinds.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </search>
      {connection.value === "connecting" && joined.length === 0 && <Loading lines={6} />}
      {isFiltered && found.length === 0 && joined.length > 0 ? (
        <Empty icon="search" title="None of those that are here fits">
          There may be some among the older ones.
        </Empty>
      ) : (
        (connection.value !== "connecting" || joined.length > 0) && <EventTable items={found} />
      )}
      {joined.length > 0 && (
        <div class="more">
          {isAtStart ? (
            <p class="muted">These are all that are kept.</p>
          ) : (
            <Button disabled={isLoading} onClick={loadOlder}>
              {isLoading ? "Asking …" : "Show older ones"}
            </Button>
          )}
        </div>
      )}
    </>
  );
};
