import { Card } from "../../components/page.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { Table } from "../../components/table.tsx";
import { formatAgo, formatMilliseconds } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { href } from "../../router.ts";
import { RunBadge } from "./outcome.tsx";

/** Ended runs are kept for an hour. */
export const RunHistory = ({ current }: { current: string | null }) => {
  const runs = useResource((client, signal) => client.call("listRuns", { query: { limit: 100 } }, { signal }), [current], 3);
  return (
    <Card title="History">
      <Loaded resource={runs}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="runs" title="No run in the last hour" />
          ) : (
            <Table
              label="Runs"
              items={items}
              keyOf={({ id }) => id}
              columns={[
                {
                  title: "Run",
                  cell: ({ id }) => (
                    <a href={href(["runs", id])} aria-current={id === current ? "true" : undefined}>
                      <code>{id}</code>
                    </a>
                  ),
                },
                { title: "State", cell: (run) => <RunBadge run={run} /> },
                { title: "Root", cell: ({ root }) => root },
                {
                  title: "Took",
                  cell: ({ startedAt, endedAt }) =>
                    startedAt === null || endedAt === null ? "–" : formatMilliseconds(Date.parse(endedAt) - Date.parse(startedAt)),
                  numeric: true,
                },
                { title: "Sent", cell: ({ createdAt }) => formatAgo(createdAt, Date.now()) },
              ]}
            />
          )
        }
      </Loaded>
    </Card>
  );
};
