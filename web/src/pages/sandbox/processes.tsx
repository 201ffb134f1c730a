import { useState } from "preact/hooks";
import type { api, RunResult } from "../../../../client/browser.ts";
import { Badge } from "../../components/badge.tsx";
import { Button } from "../../components/button.tsx";
import { Card } from "../../components/page.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { Table } from "../../components/table.tsx";
import { attempt } from "../../components/toasts.tsx";
import { formatBytes, formatCommand, formatMilliseconds, formatSeconds, formatTime } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { session } from "../../session.ts";

type Reply = api.Operations["listProcesses"]["reply"];
type Alive = NonNullable<Reply["alive"]>[number];

/** Parents before their children, with how deep each is. */
const treeOf = (alive: readonly Alive[]): { process: Alive; depth: number }[] => {
  const pids = new Set(alive.map(({ pid }) => pid));
  const below = (parent: number, depth: number): { process: Alive; depth: number }[] =>
    alive
      .filter(({ pid, parentPid }) => pid !== parent && (depth === 0 ? !pids.has(parentPid) : parentPid === parent))
      .flatMap((process) => [{ process, depth }, ...below(process.pid, depth + 1)]);
  return below(-1, 0);
};

const endText = ({ exit, state }: api.Process): string => {
  if (exit === null) return state;
  return exit.signal ?? (exit.reason === "exited" ? `exit ${exit.code}` : exit.reason);
};

/** What runs in it, and what the API started. */
export const ProcessesTab = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const { id, status } = sandbox;
  const isRunning = status.state === "running";
  const isAlive = isRunning || status.state === "paused";
  const processes = useResource(
    (client, signal) => client.call("listProcesses", { path: { sandbox: id }, query: { all: isAlive, limit: 200 } }, { signal }),
    [id, isAlive],
    3,
  );
  const end = async (process: string): Promise<void> => {
    await attempt(async () => (await session.value.sandboxes.get(id)).process(process).kill(), "The process is killed");
    processes.reload();
  };
  return (
    <div class="stack">
      {isRunning && <RunCommand id={id} onDone={processes.reload} />}
      <Loaded resource={processes}>
        {({ items, alive = [] }) => (
          <>
            {alive.length > 0 && (
              <Card title="Alive">
                <Table
                  label="Processes that are alive"
                  items={treeOf(alive)}
                  keyOf={({ process }) => process.pid}
                  columns={[
                    {
                      title: "Command",
                      cell: ({ process, depth }) => (
                        <span class="tree" style={{ paddingInlineStart: `${depth * 18}px` }}>
                          <code>{formatCommand(process.command.map((word) => word.trimEnd()))}</code>
                        </span>
                      ),
                    },
                    { title: "PID inside", numeric: true, cell: ({ process }) => process.pidInside },
                    { title: "On the host", numeric: true, cell: ({ process }) => process.pid },
                    { title: "State", minor: true, cell: ({ process }) => process.state },
                    { title: "Memory", numeric: true, cell: ({ process }) => formatBytes(process.rssBytes) },
                    { title: "CPU", numeric: true, cell: ({ process }) => formatSeconds(process.cpuSeconds) },
                  ]}
                />
              </Card>
            )}
            {items.length > 0 && (
              <Card title="Started by the API">
                <Table
                  label="Processes that the API started"
                  items={items}
                  keyOf={(process) => process.id}
                  columns={[
                    { title: "Command", cell: ({ command }) => <code class="clip">{formatCommand(command)}</code> },
                    {
                      title: "State",
                      cell: (process) => (
                        <Badge tone={process.state === "running" ? "good" : process.exit?.code === 0 ? "plain" : "warn"}>
                          {endText(process)}
                        </Badge>
                      ),
                    },
                    { title: "Started", cell: ({ createdAt }) => formatTime(createdAt) },
                    { title: "Took", numeric: true, cell: ({ exit }) => (exit ? formatMilliseconds(exit.durationMs) : "–") },
                    {
                      title: "",
                      cell: (process) =>
                        process.state === "running" && (
                          <Button small kind="danger" onClick={() => end(process.id)}>
                            Kill
                          </Button>
                        ),
                    },
                  ]}
                />
              </Card>
            )}
            {items.length + alive.length === 0 && <Empty icon="runs" title="No process runs in it" />}
          </>
        )}
      </Loaded>
    </div>
  );
};

/** A command for the root's shell, and what it wrote. */
const RunCommand = ({ id, onDone }: { id: string; onDone: () => void }) => {
  const [command, setCommand] = useState("");
  const [result, setResult] = useState<RunResult | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await attempt(async () => setResult(await (await session.value.sandboxes.get(id)).run(command, { timeoutSeconds: 60 })));
    setBusy(false);
    onDone();
  };
  return (
    <Card title="Run a command">
      <form class="row" onSubmit={run}>
        <label class="grow">
          <span class="visually-hidden">Command</span>
          <input
            class="mono"
            value={command}
            required
            spellcheck={false}
            placeholder="ls -l /"
            onInput={(event) => setCommand(event.currentTarget.value)}
          />
        </label>
        <Button type="submit" kind="primary" icon="play" disabled={isBusy}>
          {isBusy ? "Runs …" : "Run"}
        </Button>
      </form>
      {result && (
        <div class="result" role="status">
          <Badge tone={result.code === 0 ? "good" : "warn"}>{result.signal ?? `exit ${result.code}`}</Badge>
          {result.truncated && <Badge tone="warn">only the end is shown</Badge>}
          {result.stdout !== "" && <pre>{result.stdout}</pre>}
          {result.stderr !== "" && <pre class="stderr">{result.stderr}</pre>}
        </div>
      )}
    </Card>
  );
};
