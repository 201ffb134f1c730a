import type { api } from "../../../../client/browser.ts";
import { EventTable } from "../../components/event-table.tsx";
import { Loaded } from "../../components/states.tsx";
import { heard } from "../../live.ts";
import { useResource } from "../../resource.ts";

const most = 500;

/** What happened to it, the newest first. */
export const EventsTab = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const events = useResource(
    async (client, signal) => {
      const found = await Array.fromAsync(client.events({ sandbox: sandbox.id, follow: false, gaps: "skip", signal }));
      return found.slice(-most).reverse();
    },
    [sandbox.id, heard.value],
  );
  return <Loaded resource={events}>{(items) => <EventTable items={items} />}</Loaded>;
};
