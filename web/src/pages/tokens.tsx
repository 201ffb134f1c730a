import { useState } from "preact/hooks";
import type { api } from "../../../client/browser.ts";
import { Badge } from "../components/badge.tsx";
import { Button } from "../components/button.tsx";
import { Confirm } from "../components/confirm.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loaded } from "../components/states.tsx";
import { Table } from "../components/table.tsx";
import { attempt } from "../components/toasts.tsx";
import { formatAgo, formatBytes, formatTime } from "../format.ts";
import { heard } from "../live.ts";
import { useResource } from "../resource.ts";
import { session } from "../session.ts";
import { CreateToken } from "./tokens/create.tsx";

const seen = ({ selector, scopes }: api.Token): string => {
  if (scopes.includes("admin")) return "all";
  if (selector === null) return "what it makes";
  const pairs = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "all" : pairs.join(", ");
};

const quotasOf = ({ quotas }: api.Token): string =>
  Object.entries(quotas)
    .map(([name, value]) => `${name.replace("Bytes", "")} ${name.endsWith("Bytes") ? formatBytes(value) : value}`)
    .join(", ") || "–";

const Expiry = ({ token: { expiresAt } }: { token: api.Token }) => {
  if (expiresAt === null) return <>never</>;
  const isOver = Date.parse(expiresAt) < Date.now();
  return isOver ? <Badge tone="bad">expired</Badge> : <time dateTime={expiresAt}>{formatTime(expiresAt)}</time>;
};

/** Keys to the TCP door: made, looked at, revoked. */
export const TokensPage = () => {
  const [isCreating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<api.Token | null>(null);
  const tokens = useResource((client, signal) => client.call("listTokens", { query: { limit: 1000 } }, { signal }), [heard.value]);
  const revoke = async ({ id, name }: api.Token): Promise<void> => {
    await attempt(() => session.value.tokens.revoke(id), `The token ${name} is revoked`);
    tokens.reload();
  };
  return (
    <>
      <PageHead title="Tokens" about="Each opens the TCP door as far as its scope and labels go. Secrets are kept nowhere.">
        <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
          New token
        </Button>
      </PageHead>
      <Loaded resource={tokens}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="tokens" title="No token yet">
              The one of the daemon's token file is always there. Make another for each service, with what it needs and no more.
            </Empty>
          ) : (
            <Table
              label="Tokens"
              items={items}
              keyOf={({ id }) => id}
              columns={[
                { title: "Name", cell: ({ name }) => <strong>{name}</strong> },
                {
                  title: "Scope",
                  cell: ({ scopes }) => <Badge tone={scopes.includes("admin") ? "warn" : "plain"}>{scopes.join(", ")}</Badge>,
                },
                { title: "Sees", cell: seen },
                { title: "Quotas", cell: quotasOf },
                { title: "Used", cell: ({ lastUsedAt }) => (lastUsedAt === null ? "never" : formatAgo(lastUsedAt, Date.now())) },
                { title: "Expires", cell: (token) => <Expiry token={token} /> },
                {
                  title: "",
                  cell: (token) => (
                    <Button small kind="quiet" icon="trash" label={`Revoke ${token.name}`} onClick={() => setRevoking(token)} />
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {isCreating && <CreateToken onClose={() => setCreating(false)} onMade={tokens.reload} />}
      {revoking && (
        <Confirm title={`Revoke ${revoking.name}?`} verb="Revoke" onConfirm={() => revoke(revoking)} onClose={() => setRevoking(null)}>
          <p>Whoever uses it is refused from now on, and its streams end. This cannot be undone.</p>
        </Confirm>
      )}
    </>
  );
};
