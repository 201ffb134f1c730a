import { useState } from "preact/hooks";
import type { api, Process } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Card } from "../../components/page.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { attempt } from "../../components/toasts.tsx";
import { formatAgo, formatCommand } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { session } from "../../session.ts";
import { TerminalView } from "../../terminal/terminal-view.tsx";

/** Words as a person types them; quotes keep a word together. */
const wordsOf = (text: string): string[] =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");

/** New shells, and those that run already: a terminal goes on when its page is left. */
export const TerminalTab = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const [process, setProcess] = useState<Process | null>(null);
  const [command, setCommand] = useState("/bin/bash");
  const [isBusy, setBusy] = useState(false);
  const isRunning = sandbox.status.state === "running";
  const open = useResource(
    async (client, signal) => {
      if (!isRunning) return [];
      const { items } = await client.call(
        "listProcesses",
        { path: { sandbox: sandbox.id }, query: { state: ["running"], limit: 100 } },
        { signal },
      );
      return items.filter(({ tty }) => tty);
    },
    [sandbox.id, isRunning, process === null],
  );

  if (process !== null) return <TerminalView process={process} onClose={() => setProcess(null)} />;
  if (!isRunning) return <Empty icon="terminal" title="Terminals are there while the sandbox runs" />;

  const start = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await attempt(async () => setProcess(await (await session.value.sandboxes.get(sandbox.id)).spawn(wordsOf(command), { tty: true })));
    setBusy(false);
  };
  const attach = (id: string) => attempt(async () => setProcess((await session.value.sandboxes.get(sandbox.id)).process(id)));

  return (
    <div class="stack">
      <Card title="New terminal">
        <form class="row" onSubmit={start}>
          <label class="grow">
            <span class="visually-hidden">Command</span>
            <input class="mono" value={command} required spellcheck={false} onInput={(event) => setCommand(event.currentTarget.value)} />
          </label>
          <Button type="submit" kind="primary" icon="terminal" disabled={isBusy}>
            Open terminal
          </Button>
        </form>
      </Card>
      <Loaded resource={open} lines={2}>
        {(items) =>
          items.length === 0 && !sandbox.definition.tty ? null : (
            <Card title="Open already">
              <ul class="item-list">
                {sandbox.definition.tty && (
                  <li>
                    <code class="grow">{formatCommand(sandbox.definition.command)}</code>
                    <span class="muted">the main process</span>
                    <Button small onClick={() => attach("main")}>
                      Attach
                    </Button>
                  </li>
                )}
                {items.map(({ id, command: words, startedAt }) => (
                  <li key={id}>
                    <code class="grow">{formatCommand(words)}</code>
                    <span class="muted">{startedAt && formatAgo(startedAt, Date.now())}</span>
                    <Button small onClick={() => attach(id)}>
                      Attach
                    </Button>
                  </li>
                ))}
              </ul>
            </Card>
          )
        }
      </Loaded>
    </div>
  );
};
