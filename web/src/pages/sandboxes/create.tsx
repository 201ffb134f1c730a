import { useState } from "preact/hooks";
import { type Definition, ProblemError } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Dialog } from "../../components/dialog.tsx";
import { ErrorBox, Loaded } from "../../components/states.tsx";
import { say } from "../../components/toasts.tsx";
import { type Faults, Field } from "../../form/field.tsx";
import { bodySchema, type Schema } from "../../form/schema.ts";
import { bodyOf, UnreadableField, type Values } from "../../form/values.ts";
import { putSandbox } from "../../live.ts";
import { useResource } from "../../resource.ts";
import { go, href } from "../../router.ts";
import { noticeFailure, session } from "../../session.ts";

/** What most sandboxes need; everything else the daemon's own defaults say. */
const startingValues: Values = { "limits.memoryBytes": "256 MiB", "limits.pids": "128" };
/** Seen at once; the rest is below "More". */
const first = ["name", "root", "command", "limits"];

const faultsOf = (error: unknown): Faults => {
  if (error instanceof UnreadableField) return { [error.pointer]: error.message };
  if (error instanceof ProblemError) return Object.fromEntries(error.errors.map(({ pointer, detail }) => [pointer, detail]));
  return {};
};

/** Makes a sandbox: every field that the contract has. */
export const CreateDialog = ({ onClose }: { onClose: () => void }) => {
  const form = useResource(async (client) => {
    const [schema, roots] = await Promise.all([bodySchema("/v1/sandboxes"), Array.fromAsync(client.roots.list())]);
    return { schema, roots: roots.filter(({ state }) => state === "ready").map(({ name }) => name) };
  }, []);
  return (
    <Dialog title="New sandbox" onClose={onClose} wide>
      <Loaded resource={form}>{({ schema, roots }) => <CreateForm schema={schema} roots={roots} onDone={onClose} />}</Loaded>
    </Dialog>
  );
};

const CreateForm = ({ schema, roots, onDone }: { schema: Schema; roots: readonly string[]; onDone: () => void }) => {
  const [values, setValues] = useState<Values>(startingValues);
  const [start, setStart] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const faults = faultsOf(error);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const { report } = await session.value.sandboxes.create(bodyOf(schema, values) as Definition, { start });
      putSandbox(report.id, report);
      say(`${report.name} ${start ? "runs" : "is made"}`);
      onDone();
      go(href(["sandboxes", report.id]));
    } catch (reason) {
      noticeFailure(reason);
      setError(reason);
      setBusy(false);
    }
  };

  const properties = Object.entries(schema.properties ?? {});
  const rank = (name: string): number => (first.includes(name) ? first.indexOf(name) : first.length);
  const fields = (some: typeof properties) =>
    some.map(([name, each]) => (
      <Field
        key={name}
        name={name}
        path={name}
        schema={each}
        values={values}
        faults={faults}
        choices={name === "root" ? roots : undefined}
        onChange={(path, value) => setValues((before) => ({ ...before, [path]: value }))}
      />
    ));
  return (
    <form class="stack" onSubmit={submit}>
      <div class="fields">{fields(properties.filter(([name]) => first.includes(name)).sort(([a], [b]) => rank(a) - rank(b)))}</div>
      <details class="field-group more">
        <summary>More</summary>
        <div class="fields">{fields(properties.filter(([name]) => !first.includes(name)))}</div>
      </details>
      {error !== null && <ErrorBox error={error} />}
      <div class="dialog-foot">
        <label class="check">
          <input type="checkbox" checked={start} onChange={(event) => setStart(event.currentTarget.checked)} />
          Start it at once
        </label>
        <Button type="submit" kind="primary" disabled={isBusy}>
          {isBusy ? "Making it …" : "Create"}
        </Button>
      </div>
    </form>
  );
};
