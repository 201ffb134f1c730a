import { useState } from "preact/hooks";
import type { api } from "../../../client/browser.ts";
import { StateBadge } from "../components/badge.tsx";
import { Button } from "../components/button.tsx";
import { Confirm } from "../components/confirm.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loading } from "../components/states.tsx";
import { Table } from "../components/table.tsx";
import { formatAgo, formatBytes, formatCommand } from "../format.ts";
import { sandboxes } from "../live.ts";
import { href, place, setQuery } from "../router.ts";
import type { PageProps } from "../routes.ts";
import { SandboxPage } from "./sandbox.tsx";
import { type Action, actions, perform } from "./sandboxes/actions.ts";
import { CreateDialog } from "./sandboxes/create.tsx";

const states = ["running", "paused", "starting", "stopping", "created", "stopped", "failed"] as const;
/** A page of the list: the browser need not draw a thousand rows at once. */
const pageLength = 100;

/** Whether a sandbox has every word in its name, id, labels, root or command. */
const matches = ({ id, name, labels, root, definition }: api.Sandbox, words: readonly string[]): boolean => {
  const text = [name, id, root?.name ?? "", ...definition.command, ...Object.entries(labels).map((pair) => pair.join("="))]
    .join("\n")
    .toLowerCase();
  return words.every((word) => text.includes(word));
};

const LabelChips = ({ labels }: { labels: Record<string, string> }) => (
  <span class="chips">
    {Object.entries(labels).map(([key, value]) => (
      <button key={key} type="button" class="chip" title="Search for this label" onClick={() => setQuery({ q: `${key}=${value}` })}>
        {key}={value}
      </button>
    ))}
  </span>
);

/** All sandboxes, or the one that the address names. */
export const SandboxesPage = ({ rest }: PageProps) => (rest[0] === undefined ? <SandboxList /> : <SandboxPage rest={rest} />);

const SandboxList = () => {
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [isCreating, setCreating] = useState(false);
  const [asked, setAsked] = useState<Action | null>(null);
  const [shown, setShown] = useState(pageLength);
  const [isBusy, setBusy] = useState(false);
  const all = sandboxes.value;
  const query = place.value.query.get("q") ?? "";
  const state = place.value.query.get("state") ?? "";

  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...(all?.values() ?? [])]
    .reverse()
    .filter((each) => (state === "" || each.status.state === state) && matches(each, words));
  const chosen = found.filter(({ id }) => selected.has(id));
  const toggle = (id: string, isOn: boolean): void => {
    const next = new Set(selected);
    if (isOn) next.add(id);
    else next.delete(id);
    setSelected(next);
  };
  const performAll = async (action: Action): Promise<void> => {
    setBusy(true);
    await Promise.all(chosen.filter(({ status }) => action.from.includes(status.state)).map((each) => perform(action, each)));
    setSelected(new Set());
    setBusy(false);
  };

  return (
    <>
      <PageHead
        title="Sandboxes"
        about={all === null ? undefined : `${found.length === all.size ? "" : `${found.length} of `}${all.size} stored`}
      >
        <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
          New sandbox
        </Button>
      </PageHead>
      {all !== null && all.size > 0 && (
        <search class="filters">
          <input
            type="search"
            aria-label="Search sandboxes"
            placeholder="Name, label, command …"
            value={query}
            onInput={(event) => setQuery({ q: event.currentTarget.value })}
          />
          <select aria-label="State" value={state} onChange={(event) => setQuery({ state: event.currentTarget.value })}>
            <option value="">any state</option>
            {states.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </search>
      )}
      {chosen.length > 0 && (
        <div class="bulk" role="toolbar" aria-label="Of those that are chosen">
          <strong>{chosen.length} chosen</strong>
          {actions
            .filter(({ from }) => chosen.some(({ status }) => from.includes(status.state)))
            .map((action) => (
              <Button
                key={action.name}
                small
                icon={action.icon}
                disabled={isBusy}
                {...(action.isDanger ? { kind: "danger" as const } : {})}
                onClick={() => (action.isDanger ? setAsked(action) : performAll(action))}
              >
                {action.title}
              </Button>
            ))}
          <Button small kind="quiet" onClick={() => setSelected(new Set())}>
            Choose none
          </Button>
        </div>
      )}
      {all === null && <Loading lines={6} />}
      {all?.size === 0 && (
        <Empty icon="sandboxes" title="No sandbox yet">
          <p>A sandbox is a command in namespaces, with a root and limits of its own.</p>
          <p>
            <Button icon="plus" onClick={() => setCreating(true)}>
              Make the first one
            </Button>
          </p>
        </Empty>
      )}
      {all !== null && all.size > 0 && found.length === 0 && <Empty icon="search" title="Nothing fits that search" />}
      {found.length > 0 && (
        <Rows
          items={found.slice(0, shown)}
          selected={selected}
          toggle={toggle}
          onAll={(isOn) => setSelected(new Set(isOn ? found.map(({ id }) => id) : []))}
          isAll={chosen.length === found.length}
        />
      )}
      {found.length > shown && <Button onClick={() => setShown(shown + pageLength)}>Show more ({found.length - shown} are left)</Button>}
      {isCreating && <CreateDialog onClose={() => setCreating(false)} />}
      {asked && (
        <Confirm
          title={`${asked.title} ${chosen.length} sandbox${chosen.length === 1 ? "" : "es"}?`}
          verb={asked.title}
          onConfirm={() => performAll(asked)}
          onClose={() => setAsked(null)}
        >
          <p>
            {chosen
              .map(({ name }) => name)
              .slice(0, 20)
              .join(", ")}
          </p>
        </Confirm>
      )}
    </>
  );
};

interface RowsProps {
  items: readonly api.Sandbox[];
  selected: ReadonlySet<string>;
  toggle: (id: string, isOn: boolean) => void;
  isAll: boolean;
  onAll: (isOn: boolean) => void;
}

const Rows = ({ items, selected, toggle, isAll, onAll }: RowsProps) => {
  const now = Date.now();
  return (
    <>
      <label class="check">
        <input type="checkbox" checked={isAll} onChange={(event) => onAll(event.currentTarget.checked)} />
        Choose all
      </label>
      <Table
        label="Sandboxes"
        items={items}
        keyOf={({ id }) => id}
        columns={[
          {
            title: "Name",
            cell: ({ id, name }) => (
              <span class="row">
                <input
                  type="checkbox"
                  aria-label={`Choose ${name}`}
                  checked={selected.has(id)}
                  onChange={(event) => toggle(id, event.currentTarget.checked)}
                />
                <a href={href(["sandboxes", id])} class="strong">
                  {name}
                </a>
              </span>
            ),
          },
          { title: "State", cell: ({ status }) => <StateBadge state={status.state} /> },
          { title: "Root", minor: true, cell: ({ root }) => root?.name ?? "–" },
          { title: "Command", cell: ({ definition }) => <code class="clip">{formatCommand(definition.command)}</code> },
          { title: "Memory", numeric: true, minor: true, cell: ({ definition }) => formatBytes(definition.limits.memoryBytes) },
          { title: "Labels", cell: ({ labels }) => <LabelChips labels={labels} /> },
          { title: "Since", cell: ({ status }) => formatAgo(status.since, now) },
        ]}
      />
    </>
  );
};
