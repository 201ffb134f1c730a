import type { ComponentType } from "preact";
import { useState } from "preact/hooks";
import type { api } from "../../../client/browser.ts";
import { StateBadge } from "../components/badge.tsx";
import { Button } from "../components/button.tsx";
import { Confirm } from "../components/confirm.tsx";
import { PageHead } from "../components/page.tsx";
import { Empty, Loading } from "../components/states.tsx";
import { formatAgo } from "../format.ts";
import { sandboxes } from "../live.ts";
import { go, href } from "../router.ts";
import type { PageProps } from "../routes.ts";
import { EventsTab } from "./sandbox/events.tsx";
import { FilesTab } from "./sandbox/files.tsx";
import { LogsTab } from "./sandbox/logs.tsx";
import { ProcessesTab } from "./sandbox/processes.tsx";
import { ReportTab } from "./sandbox/report.tsx";
import { TerminalTab } from "./sandbox/terminal.tsx";
import { type Action, actions, perform } from "./sandboxes/actions.ts";

interface Tab {
  segment: string;
  title: string;
  content: ComponentType<{ sandbox: api.Sandbox }>;
}

const tabs: readonly Tab[] = [
  { segment: "", title: "Report", content: ReportTab },
  { segment: "processes", title: "Processes", content: ProcessesTab },
  { segment: "logs", title: "Logs", content: LogsTab },
  { segment: "files", title: "Files", content: FilesTab },
  { segment: "terminal", title: "Terminal", content: TerminalTab },
  { segment: "events", title: "Events", content: EventsTab },
];

const find = (nameOrId: string): api.Sandbox | null => {
  const all = sandboxes.value;
  return all?.get(nameOrId) ?? [...(all?.values() ?? [])].find(({ name }) => name === nameOrId) ?? null;
};

/** One sandbox: `#/sandboxes/ID/TAB`. */
export const SandboxPage = ({ rest: [nameOrId = "", segment = ""] }: PageProps) => {
  const [asked, setAsked] = useState<Action | null>(null);
  const [busyWith, setBusyWith] = useState<string | null>(null);
  const sandbox = find(nameOrId);
  if (sandbox === null)
    return sandboxes.value === null ? (
      <Loading lines={6} />
    ) : (
      <Empty icon="sandboxes" title={`There is no sandbox ${nameOrId}`}>
        <a href={href(["sandboxes"])}>To the sandboxes</a>
      </Empty>
    );

  const act = async (action: Action): Promise<void> => {
    setBusyWith(action.name);
    const isDone = await perform(action, sandbox);
    setBusyWith(null);
    if (isDone && action.name === "delete") go(href(["sandboxes"]));
  };
  const tab = tabs.find((each) => each.segment === segment);
  return (
    <>
      <PageHead
        title={
          <>
            {sandbox.name} <StateBadge state={sandbox.status.state} />
          </>
        }
        about={[sandbox.status.reason, sandbox.status.message, `since ${formatAgo(sandbox.status.since, Date.now())}`]
          .filter(Boolean)
          .join(" · ")}
      >
        {actions
          .filter(({ from }) => from.includes(sandbox.status.state))
          .map((action) => (
            <Button
              key={action.name}
              icon={action.icon}
              disabled={busyWith !== null}
              {...(action.isDanger ? { kind: "danger" as const } : action.name === "start" ? { kind: "primary" as const } : {})}
              onClick={() => (action.isDanger ? setAsked(action) : act(action))}
            >
              {busyWith === action.name ? `${action.title} …` : action.title}
            </Button>
          ))}
      </PageHead>
      {sandbox.warnings.length > 0 && (
        <ul class="warnings">
          {sandbox.warnings.map((warning) => (
            <li key={warning}>{warning}</li>
          ))}
        </ul>
      )}
      <nav class="tabs" aria-label={`Parts of ${sandbox.name}`}>
        {tabs.map((each) => (
          <a
            key={each.segment}
            href={href(["sandboxes", nameOrId, each.segment].filter(Boolean))}
            aria-current={each === tab ? "page" : undefined}
          >
            {each.title}
          </a>
        ))}
      </nav>
      {tab === undefined ? <Empty icon="search" title="There is no such part" /> : <tab.content key={tab.segment} sandbox={sandbox} />}
      {asked && (
        <Confirm title={`${asked.title} ${sandbox.name}?`} verb={asked.title} onConfirm={() => act(asked)} onClose={() => setAsked(null)}>
          <p>
            {asked.name === "delete"
              ? "Its processes end, and its files and definition are removed."
              : "All its processes end at once, without a chance to clean up. Its files stay."}
          </p>
        </Confirm>
      )}
    </>
  );
};
