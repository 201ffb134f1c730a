import type { api } from "../../../client/browser.ts";
import { formatTime } from "../format.ts";
import { Empty } from "./states.tsx";
import { Table } from "./table.tsx";

/** The members of an event that tell something, in short. */
const textOf = (data: Record<string, unknown> | undefined): string =>
  Object.entries(data ?? {})
    .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" · ");

export const EventTable = ({ items }: { items: readonly api.Event[] }) => {
  if (items.length === 0) return <Empty icon="events" title="Nothing happened yet" />;
  return (
    <Table
      label="Events"
      items={items}
      keyOf={({ id }) => id ?? 0}
      columns={[
        { title: "Time", cell: ({ time }) => <time dateTime={time}>{time && formatTime(time)}</time> },
        { title: "Event", cell: ({ type }) => <strong>{type}</strong> },
        { title: "What", cell: ({ data }) => <span class="event-data">{textOf(data)}</span> },
      ]}
    />
  );
};
