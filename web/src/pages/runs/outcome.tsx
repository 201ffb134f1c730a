import { useEffect, useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Badge } from "../../components/badge.tsx";
import { Button } from "../../components/button.tsx";
import { KeyValues } from "../../components/key-values.tsx";
import { Card } from "../../components/page.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { attempt } from "../../components/toasts.tsx";
import { formatBytes, formatMilliseconds } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { session } from "../../session.ts";
import { bytesOf, saveBytes } from "./files.ts";

type File = NonNullable<api.Run["files"]>[number];

/** How a run stands, in a word or two. */
export const RunBadge = ({ run }: { run: Pick<api.Run, "state" | "position"> & Partial<Pick<api.Run, "exit" | "reason">> }) => {
  const { state, position, exit, reason } = run;
  if (state === "queued") return <Badge tone="busy">{position === null ? "queued" : `queued, ${position}`}</Badge>;
  if (state === "running") return <Badge tone="busy">running</Badge>;
  if (state === "failed") return <Badge tone="bad">failed</Badge>;
  if (state === "cancelled") return <Badge tone="plain">cancelled</Badge>;
  if (reason === undefined || reason === null) return <Badge tone="plain">ended</Badge>;
  if (reason !== "exited") return <Badge tone="bad">{reason}</Badge>;
  return <Badge tone={exit?.code === 0 ? "good" : "warn"}>{`exit ${exit?.code}`}</Badge>;
};

const pollSeconds = 1;

/** What a run wrote, gave back and cost; while it is under way it is asked for again and again. */
export const RunOutcome = ({ id }: { id: string | null }) => {
  if (id === null)
    return (
      <Card title="Outcome">
        <Empty icon="runs" title="Nothing has been run yet">
          What the script writes, how it ends and what it costs is shown here.
        </Empty>
      </Card>
    );
  return <Followed id={id} />;
};

const Followed = ({ id }: { id: string }) => {
  const [isOver, setOver] = useState(false);
  const run = useResource(
    (client, signal) => client.call("getRun", { path: { run: id }, query: {} }, { signal }),
    [id],
    isOver ? undefined : pollSeconds,
  );
  const endedAt = run.value?.endedAt ?? null;
  useEffect(() => setOver(endedAt !== null), [endedAt]);
  return (
    <Card title="Outcome" actions={run.value && <Actions run={run.value} onDone={run.reload} />}>
      <Loaded resource={run}>{(found) => <Outcome run={found} />}</Loaded>
    </Card>
  );
};

const Actions = ({ run, onDone }: { run: api.Run; onDone: () => void }) => {
  const cancel = async (): Promise<void> => {
    await attempt(() => session.value.runs.cancel(run.id), "The run is cancelled");
    onDone();
  };
  return (
    <div class="row">
      <RunBadge run={run} />
      {run.endedAt === null && (
        <Button small icon="stop" onClick={cancel}>
          Cancel
        </Button>
      )}
    </div>
  );
};

const Outcome = ({ run }: { run: api.Run }) => {
  const { stdout, stderr, problem, endedAt, files, archive } = run;
  return (
    <div class="stack">
      {problem && (
        <p role="alert" class="remedy">
          {String(problem["title"] ?? "It failed")}: {String(problem["detail"] ?? "")}
        </p>
      )}
      {endedAt === null && <progress aria-label="The run is under way" />}
      {stdout && <Output title="Output" output={stdout} />}
      {stderr && stderr.bytes > 0 && <Output title="Errors" output={stderr} />}
      {files !== null && files.length > 0 && (
        <section class="stack tight">
          <h3>Files</h3>
          <ul class="entries">
            {files.map((file) => (
              <FileLine key={file.path} file={file} />
            ))}
          </ul>
        </section>
      )}
      {archive && <ArchiveButton id={run.id} bytes={archive.bytes} />}
      {endedAt !== null && (
        <KeyValues
          items={[
            ["Took", run.wallSeconds === null ? null : formatMilliseconds(run.wallSeconds * 1_000)],
            [
              "CPU",
              run.cpuSeconds &&
                `${formatMilliseconds(run.cpuSeconds.user * 1_000)} user, ${formatMilliseconds(run.cpuSeconds.system * 1_000)} system`,
            ],
            ["Most memory", run.peakMemoryBytes === null ? null : formatBytes(run.peakMemoryBytes)],
            ["Signal", run.exit?.signal],
            ["Root", run.root],
          ]}
        />
      )}
    </div>
  );
};

const Output = ({ title, output }: { title: string; output: NonNullable<api.Run["stdout"]> }) => (
  <section class="stack tight">
    <h3>
      {title}
      {output.truncated && <span class="muted"> (cut)</span>}
    </h3>
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
    <pre class="output" tabIndex={0} role="log" aria-label={title}>
      {output.encoding === "utf-8" ? output.data || "nothing was written" : `${formatBytes(output.bytes)} that are no text`}
    </pre>
  </section>
);

const FileLine = ({ file }: { file: File }) => (
  <li class="entry">
    <code class="long grow">{file.path}</code>
    <span class="muted">{formatBytes(file.sizeBytes)}</span>
    {file.data !== undefined && (
      <Button small kind="quiet" icon="download" label={`Download ${file.path}`} onClick={() => saveBytes(file.path, bytesOf(file))} />
    )}
    {file.archived && <span class="muted">in the archive</span>}
    {file.truncated && <span class="muted">not kept: {file.reason}</span>}
  </li>
);

const ArchiveButton = ({ id, bytes }: { id: string; bytes: number }) => {
  const save = () =>
    attempt(async () => {
      const stream = await session.value.runs.archive(id);
      saveBytes(`run-${id}.tar`, new Uint8Array(await new Response(stream).arrayBuffer()));
    });
  return (
    <div class="row">
      <Button small icon="download" onClick={save}>
        Archive, {formatBytes(bytes)}
      </Button>
    </div>
  );
};
