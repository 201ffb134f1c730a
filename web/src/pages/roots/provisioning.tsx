import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Badge } from "../../components/badge.tsx";
import { Button } from "../../components/button.tsx";
import { Card } from "../../components/page.tsx";
import { attempt, say } from "../../components/toasts.tsx";
import { useResource } from "../../resource.ts";
import { session } from "../../session.ts";

type Operation = api.Operations["getOperation"]["reply"];

/** Names by id of what this page began: a root that failed is not there to be asked. */
const begun = signal<Readonly<Record<string, string>>>({});
/** Failures that were seen. */
const dismissed = signal<ReadonlySet<string>>(new Set());

export const rememberName = (operation: string, name: string): void => {
  begun.value = { ...begun.value, [operation]: name };
};

const pollSeconds = 1;

/** The jobs that make roots, as they go; those that this page began stay when they fail, until they are dismissed. */
export const Provisioning = ({ onEnd }: { onEnd: () => void }) => {
  const operations = useResource(
    async (client, stop) => {
      const { items } = await client.call("listOperations", { query: { limit: 1000 } }, { signal: stop });
      return items.filter(({ kind, state, id }) => kind === "root.provision" && (state === "running" || id in begun.value));
    },
    [begun.value],
    pollSeconds,
  );
  const all = operations.value ?? [];
  const running = all.filter(({ state }) => state === "running").map(({ id }) => id);
  useEffect(() => {
    const ended = all.filter(({ state, id }) => state === "succeeded" && id in begun.value && !dismissed.value.has(id));
    for (const { id } of ended) {
      dismissed.value = new Set([...dismissed.value, id]);
      say(`The root ${begun.value[id]} is ready`);
    }
    onEnd();
  }, [running.join(), all.length]);

  const shown = all.filter(({ id, state }) => state !== "succeeded" && !dismissed.value.has(id));
  if (shown.length === 0) return null;
  return (
    <Card title="Provisioning">
      <ul class="jobs">
        {shown.map((operation) => (
          <Job key={operation.id} operation={operation} />
        ))}
      </ul>
    </Card>
  );
};

const Job = ({ operation }: { operation: Operation }) => {
  const { id, subject, state, phase, progress, message, problem } = operation;
  const name = begun.value[id] ?? subject;
  const cancel = () => attempt(() => session.value.call("cancelOperation", { path: { operation: id } }), `${name} is cancelled`);
  const dismiss = (): void => {
    dismissed.value = new Set([...dismissed.value, id]);
  };
  const isRunning = state === "running";
  return (
    <li>
      <div class="job-head">
        <strong>{name}</strong>
        <Badge tone={isRunning ? "busy" : state === "failed" ? "bad" : "plain"}>{state}</Badge>
        <span class="grow muted">{isRunning ? phase : String(problem?.["detail"] ?? phase)}</span>
        {isRunning ? (
          <Button small icon="close" onClick={cancel}>
            Cancel
          </Button>
        ) : (
          <Button small kind="quiet" onClick={dismiss}>
            Dismiss
          </Button>
        )}
      </div>
      {isRunning && <progress aria-label={`Progress of ${name}`} max={1} {...(progress === null ? {} : { value: progress })} />}
      {isRunning && message && <code class="clip">{message}</code>}
      {typeof problem?.["log"] === "string" && <pre class="output">{problem["log"]}</pre>}
    </li>
  );
};
