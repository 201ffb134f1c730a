import { useState } from "preact/hooks";
import type { Root } from "../../../client/browser.ts";
import { Badge } from "../components/badge.tsx";
import { Button } from "../components/button.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loaded } from "../components/states.tsx";
import { Table } from "../components/table.tsx";
import { formatAgo, formatBytes, formatNumber } from "../format.ts";
import { heard } from "../live.ts";
import { useResource } from "../resource.ts";
import { href } from "../router.ts";
import type { PageProps } from "../routes.ts";
import { CreateRoot } from "./roots/create.tsx";
import { Provisioning } from "./roots/provisioning.tsx";
import { RootPage } from "./roots/root.tsx";

/** Root filesystems; one of them with its manifest where the address names it. */
export const RootsPage = ({ rest }: PageProps) => (rest[0] === undefined ? <RootList /> : <RootPage key={rest[0]} name={rest[0]} />);

const columns = [
  { title: "Name", cell: ({ name }: Root) => <a href={href(["roots", name])}>{name}</a> },
  { title: "State", cell: ({ state }: Root) => <Badge tone={state === "ready" ? "good" : "busy"}>{state}</Badge> },
  { title: "Made from", cell: ({ source }: Root) => source.kind },
  { title: "Files", cell: ({ fileCount }: Root) => (fileCount === null ? "–" : formatNumber(fileCount)), numeric: true },
  { title: "Size", cell: ({ sizeBytes }: Root) => formatBytes(sizeBytes), numeric: true },
  { title: "Sandboxes", cell: ({ users }: Root) => users, numeric: true },
  { title: "Made", cell: ({ createdAt }: Root) => formatAgo(createdAt, Date.now()) },
];

const RootList = () => {
  const [isCreating, setCreating] = useState(false);
  const roots = useResource((client, signal) => client.call("listRoots", { query: { limit: 1000 } }, { signal }), [heard.value]);
  return (
    <>
      <PageHead title="Roots" about="Root filesystems, immutable once they are ready, and shared by any number of sandboxes.">
        <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
          New root
        </Button>
      </PageHead>
      <div class="stack">
        <Provisioning onEnd={roots.reload} />
        <Loaded resource={roots}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty icon="roots" title="No root yet">
                A root has the programs that sandboxes run. Make one from programs of this host, or from Debian's packages.
              </Empty>
            ) : (
              <Table label="Roots" items={items} keyOf={({ id }) => id} columns={columns} />
            )
          }
        </Loaded>
      </div>
      {isCreating && (
        <CreateRoot
          onClose={() => setCreating(false)}
          onBegun={() => {
            setCreating(false);
            roots.reload();
          }}
        />
      )}
    </>
  );
};
