import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { RunInput } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Card } from "../../components/page.tsx";
import { ErrorBox } from "../../components/states.tsx";
import { Field } from "../../form/field.tsx";
import { bodySchema } from "../../form/schema.ts";
import { useResource } from "../../resource.ts";
import { go, href } from "../../router.ts";
import { noticeFailure, session } from "../../session.ts";

/** What is in the form; it stays while the person looks at other pages. */
const draft = signal({
  script: 'echo "I am pid $$ of $(hostname)"\nls /\n',
  root: "default",
  stdin: "",
  files: [] as readonly { path: string; text: string }[],
  collect: "",
  memory: "256",
  seconds: "60",
  seccomp: "",
});

const change = (part: Partial<typeof draft.value>): void => {
  draft.value = { ...draft.value, ...part };
};

const mebibyte = 1_048_576;

const submitDraft = async (): Promise<string> => {
  const { script, root, stdin, files, collect, memory, seconds, seccomp } = draft.value;
  const { id } = await session.value.runs.create({
    root,
    script,
    stdin: stdin === "" ? undefined : stdin,
    files: files.length === 0 ? undefined : Object.fromEntries(files.map(({ path, text }) => [path, text])),
    collect: collect.trim() === "" ? undefined : collect.split(/\s+/).filter(Boolean),
    limits: memory === "" ? undefined : { memoryBytes: Number(memory) * mebibyte },
    timeoutSeconds: seconds === "" ? undefined : Number(seconds),
    seccomp: seccomp === "" ? undefined : (seccomp as RunInput["seccomp"]),
  });
  return id;
};

/** The editor and its button. */
export const RunForm = () => {
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const roots = useResource((client, stop) => client.call("listRoots", { query: { limit: 1000 } }, { signal: stop }), []);
  const filters = useResource(() => bodySchema("/v1/runs"), []).value?.properties?.["seccomp"];
  const { script, root, stdin, files, collect, memory, seconds, seccomp } = draft.value;
  const names = roots.value?.items.filter(({ state }) => state === "ready").map(({ name }) => name) ?? [];

  const run = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    await submitDraft()
      .then((id) => go(href(["runs", id])))
      .catch((reason: unknown) => {
        noticeFailure(reason);
        setError(reason);
      });
    setBusy(false);
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void run();
  };
  const setFile = (index: number, part: { path?: string; text?: string }): void =>
    change({ files: files.map((each, place) => (place === index ? { ...each, ...part } : each)) });

  return (
    <Card>
      <form class="stack" onSubmit={submit}>
        <label>
          Script
          <textarea
            class="editor"
            rows={10}
            spellcheck={false}
            required
            value={script}
            aria-describedby="run-keys"
            onInput={(event) => change({ script: event.currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
              event.preventDefault();
              if (!isBusy) void run();
            }}
          />
        </label>
        <div class="triple">
          <label>
            Root
            <select value={root} onChange={(event) => change({ root: event.currentTarget.value })}>
              {(names.includes(root) ? names : [root, ...names]).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label>
            MiB of memory
            <input type="number" min="4" value={memory} onInput={(event) => change({ memory: event.currentTarget.value })} />
          </label>
          <label>
            Seconds
            <input type="number" min="1" value={seconds} onInput={(event) => change({ seconds: event.currentTarget.value })} />
          </label>
        </div>
        {filters && (
          <Field
            name="seccomp"
            path="seccomp"
            schema={filters}
            values={{ seccomp }}
            faults={{}}
            onChange={(_, chosen) => change({ seccomp: chosen })}
          />
        )}
        <details open={stdin !== "" || files.length > 0 || collect !== ""}>
          <summary>Input and files</summary>
          <div class="stack">
            <label>
              Standard input
              <textarea rows={3} value={stdin} onInput={(event) => change({ stdin: event.currentTarget.value })} />
            </label>
            {files.map((file, index) => (
              <fieldset key={index}>
                <legend>File {index + 1}</legend>
                <div class="stack">
                  <label>
                    Path
                    <input
                      required
                      pattern="/.*"
                      title="An absolute path"
                      value={file.path}
                      onInput={(event) => setFile(index, { path: event.currentTarget.value })}
                    />
                  </label>
                  <label>
                    Text
                    <textarea rows={4} value={file.text} onInput={(event) => setFile(index, { text: event.currentTarget.value })} />
                  </label>
                  <Button small icon="trash" onClick={() => change({ files: files.filter((_, place) => place !== index) })}>
                    Remove file {index + 1}
                  </Button>
                </div>
              </fieldset>
            ))}
            <div class="row">
              <Button small icon="plus" onClick={() => change({ files: [...files, { path: `/in/file-${files.length + 1}`, text: "" }] })}>
                Add a file
              </Button>
            </div>
            <label>
              Files to give back
              <input
                placeholder="/out/** /root/*.log"
                value={collect}
                onInput={(event) => change({ collect: event.currentTarget.value })}
              />
            </label>
          </div>
        </details>
        {error !== null && <ErrorBox error={error} />}
        <div class="row">
          <Button type="submit" kind="primary" icon="play" disabled={isBusy}>
            Run
          </Button>
          <span class="muted" id="run-keys">
            or Ctrl and Enter
          </span>
        </div>
      </form>
    </Card>
  );
};
