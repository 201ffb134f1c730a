import { Badge } from "../components/badge.tsx";
import { Button } from "../components/button.tsx";
import { KeyValues } from "../components/key-values.tsx";
import { Card, PageHead } from "../components/page.tsx";
import { Loaded } from "../components/states.tsx";
import { formatAgo } from "../format.ts";
import { useResource } from "../resource.ts";

const tones = { ok: "good", weak: "warn", degraded: "warn", missing: "bad" } as const;
const verdicts = {
  ok: "This host has all that sandboxes need.",
  degraded: "Sandboxes start, and something works less well than it could.",
  missing: "Something is missing: no sandbox can be started.",
} as const;
/** What needs a hand comes first. */
const order = { missing: 0, degraded: 1, weak: 2, ok: 3 } as const;

/** What the host has and lacks, in words, and what the daemon is. */
export const HostPage = () => {
  const preflight = useResource((client, signal) => client.preflight({ signal }), []);
  const info = useResource((client, signal) => client.info({ signal }), [], 10);
  return (
    <>
      <PageHead
        title="Host"
        about="Each requirement of a launch, and each setting that weakens isolation: whether it is met, what its lack costs, and how to mend it."
      >
        <Button icon="restart" disabled={preflight.isLoading} onClick={preflight.reload}>
          Check again
        </Button>
      </PageHead>
      <div class="stack">
        <Loaded resource={preflight} lines={8}>
          {({ status, checks }) => (
            <Card title="Preflight" actions={<Badge tone={tones[status]}>{status}</Badge>}>
              <p class="verdict">{verdicts[status]}</p>
              <ul class="checks" aria-label="Requirements">
                {checks
                  .toSorted((left, right) => order[left.status] - order[right.status])
                  .map((check) => (
                    <li key={check.name}>
                      <Badge tone={tones[check.status]}>{check.status}</Badge>
                      <div>
                        <strong>{check.name}</strong>
                        <p>{check.detail}</p>
                        {check.status !== "ok" && check.cost && <p>What that costs: {check.cost}</p>}
                        {check.status !== "ok" && check.remedy && <p class="remedy">{check.remedy}</p>}
                      </div>
                    </li>
                  ))}
              </ul>
            </Card>
          )}
        </Loaded>
        <Loaded resource={info}>
          {({ version, node, sqlite, kernel, pid, startedAt, launcher, recovery, settings }) => (
            <>
              <Card title="Daemon">
                <KeyValues
                  items={[
                    ["Version", version],
                    ["Kernel", kernel],
                    ["Node.js", node],
                    ["SQLite", sqlite],
                    ["Process", pid],
                    ["Started", formatAgo(startedAt, Date.now())],
                    ["Launcher", launcher && `process ${launcher.pid}, ${launcher.supervisors} supervisors`],
                    ["Prepared shells", launcher && `${launcher.readyShells} of ${launcher.readyTarget}`],
                    ["Cgroups", launcher && `${launcher.cgroupLayout}, below ${launcher.cgroupParent}`],
                    [
                      "Last start",
                      recovery &&
                        `${recovery.adopted.length} sandboxes adopted, ${recovery.lost.length} lost, in ${recovery.milliseconds} ms`,
                    ],
                  ]}
                />
              </Card>
              <Card title="Settings">
                <KeyValues
                  items={Object.entries(settings).map(([name, value]) => [
                    name,
                    value === null ? "–" : <code>{typeof value === "object" ? JSON.stringify(value) : String(value)}</code>,
                  ])}
                />
              </Card>
            </>
          )}
        </Loaded>
      </div>
    </>
  );
};
