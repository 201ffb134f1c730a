import { StateBadge } from "../components/badge.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loading } from "../components/states.tsx";
import { Table } from "../components/table.tsx";
import { formatCommand } from "../format.ts";
import { sandboxes } from "../live.ts";
import { href } from "../router.ts";

/** All sandboxes. */
export const SandboxesPage = () => {
  const all = sandboxes.value;
  return (
    <>
      <PageHead title="Sandboxes" />
      {all === null && <Loading />}
      {all?.size === 0 && <Empty icon="sandboxes" title="No sandbox yet" />}
      {all !== null && all.size > 0 && (
        <Table
          label="Sandboxes"
          items={[...all.values()]}
          keyOf={({ id }) => id}
          columns={[
            { title: "Name", cell: ({ id, name }) => <a href={href(["sandboxes", id])}>{name}</a> },
            { title: "State", cell: ({ status }) => <StateBadge state={status.state} /> },
            { title: "Command", cell: ({ definition }) => <code>{formatCommand(definition.command)}</code> },
          ]}
        />
      )}
    </>
  );
};
