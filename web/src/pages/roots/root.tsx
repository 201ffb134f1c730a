import { useState } from "preact/hooks";
import { Badge } from "../../components/badge.tsx";
import { Button } from "../../components/button.tsx";
import { Confirm } from "../../components/confirm.tsx";
import { KeyValues } from "../../components/key-values.tsx";
import { Card, PageHead } from "../../components/page.tsx";
import { Loaded } from "../../components/states.tsx";
import { attempt } from "../../components/toasts.tsx";
import { formatBytes, formatNumber, formatTime } from "../../format.ts";
import { heard } from "../../live.ts";
import { useResource } from "../../resource.ts";
import { go, href } from "../../router.ts";
import { session } from "../../session.ts";
import { Manifest } from "./manifest.tsx";

const textOf = (value: unknown): string =>
  Array.isArray(value) ? value.map(textOf).join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value);

/** One root: what it is made from, and every file of it. */
export const RootPage = ({ name }: { name: string }) => {
  const [isDeleting, setDeleting] = useState(false);
  const root = useResource((client, signal) => client.roots.get(name, { signal }), [name, heard.value]);
  const remove = async (): Promise<void> => {
    if (await attempt(() => session.value.roots.delete(name), `The root ${name} is deleted`)) go(href(["roots"]));
  };
  return (
    <Loaded resource={root}>
      {(found) => (
        <>
          <PageHead
            title={
              <>
                {found.name} <Badge tone={found.state === "ready" ? "good" : "busy"}>{found.state}</Badge>
              </>
            }
            about={<a href={href(["roots"])}>All roots</a>}
          >
            <Button kind="danger" icon="trash" onClick={() => setDeleting(true)}>
              Delete
            </Button>
          </PageHead>
          <div class="stack">
            <Card title="Root">
              <KeyValues
                items={[
                  ["Id", <code>{found.id}</code>],
                  ["Size", formatBytes(found.sizeBytes)],
                  ["Files", found.fileCount === null ? null : formatNumber(found.fileCount)],
                  ["Used by", `${found.users} sandbox${found.users === 1 ? "" : "es"}`],
                  ["Made", formatTime(found.createdAt)],
                  ["Ready", found.readyAt && formatTime(found.readyAt)],
                  ["At work on", found.message],
                  ...Object.entries(found.source)
                    .map(([key, value]) => [key, textOf(value)] as const)
                    .filter(([, text]) => text !== "")
                    .map(([key, text]) => [key, <span class="long">{text}</span>] as const),
                ]}
              />
            </Card>
            {found.state === "ready" && <Manifest root={found.name} />}
          </div>
          {isDeleting && (
            <Confirm title={`Delete the root ${found.name}?`} verb="Delete" onConfirm={remove} onClose={() => setDeleting(false)}>
              <p>Its files are removed. A root that sandboxes use is not deleted.</p>
            </Confirm>
          )}
        </>
      )}
    </Loaded>
  );
};
