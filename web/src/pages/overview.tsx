import type { api } from "../../../client/browser.ts";
import { Button } from "../components/button.tsx";
import { Chart } from "../components/chart.tsx";
import { Card, PageHead } from "../components/page.tsx";
import { ErrorBox, Loaded, Loading } from "../components/states.tsx";
import { attempt } from "../components/toasts.tsx";
import { LiveDiagram } from "../diagram/live-diagram.tsx";
import { formatAgo, formatBytes, formatNumber } from "../format.ts";
import { heard, recentEvents, sandboxes } from "../live.ts";
import { useResource } from "../resource.ts";
import { href } from "../router.ts";
import { session } from "../session.ts";
import { Phases } from "./overview/phases.tsx";
import { type HostSample, useHostSamples } from "./overview/watch.ts";
import { saveAs } from "./sandbox/save-as.ts";

const states = ["running", "paused", "starting", "stopping", "created", "stopped", "failed"] as const;
const shownEvents = 12;

/** Launches each second, from one look to the next. */
const rates = (samples: readonly HostSample[]): (number | null)[] =>
  samples.map(({ seconds, launches }, index) => {
    const before = samples[index - 1];
    return before === undefined ? null : Math.max(0, (launches - before.launches) / (seconds - before.seconds));
  });

const percent = (value: number): string => `${formatNumber(value)} %`;

/** What runs on this host, and how the host bears it. */
export const OverviewPage = () => {
  const all = sandboxes.value;
  const { samples, error } = useHostSamples();
  const diagram = useResource((client, signal) => client.diagram({ signal }), [heard.value], 10);
  const download = () =>
    attempt(async () => saveAs("unshared.svg", new Response(await session.value.drawing("svg")).body ?? new ReadableStream()));
  return (
    <>
      <PageHead title="Overview" about="What runs on this host, as it happens." />
      {error !== null && samples.length === 0 && <ErrorBox error={error} />}
      {all === null ? <Loading /> : <Counts all={[...all.values()]} />}
      <HostCharts samples={samples} />
      <Card
        title="Host and namespaces"
        actions={
          <Button small icon="download" onClick={download}>
            As SVG
          </Button>
        }
      >
        <Loaded resource={diagram}>{(value) => <LiveDiagram diagram={value} />}</Loaded>
      </Card>
      <div class="columns">
        <Card title="Phases of a launch, on average">
          {samples.length === 0 ? <Loading /> : <Phases phases={samples.at(-1)?.phases ?? new Map()} />}
        </Card>
        <Card title="Latest events">
          <LatestEvents events={recentEvents.value.slice(0, shownEvents)} />
        </Card>
      </div>
    </>
  );
};

const Counts = ({ all }: { all: readonly api.Sandbox[] }) => (
  <ul class="counts">
    {states.map((state) => {
      const count = all.filter(({ status }) => status.state === state).length;
      return (
        <li key={state}>
          <a href={href(["sandboxes"], { state })} class={count === 0 ? "count none" : `count ${state}`}>
            <strong>{count}</strong>
            <span>{state}</span>
          </a>
        </li>
      );
    })}
  </ul>
);

const HostCharts = ({ samples }: { samples: readonly HostSample[] }) => {
  const times = samples.map(({ seconds }) => seconds);
  const last = samples.at(-1);
  const memory = last?.host.memory;
  return (
    <div class="charts">
      <Chart
        title="Launches / s"
        times={times}
        atLeast={2}
        format={formatNumber}
        series={[{ name: "launches", color: "--accent", values: rates(samples) }]}
      />
      <Chart
        title="Load"
        limit={last && `${last.host.cpus} CPUs`}
        times={times}
        atLeast={last?.host.cpus ?? 1}
        format={formatNumber}
        series={[{ name: "load", color: "--busy", values: samples.map(({ host }) => host.loadAverage[0] ?? null) }]}
      />
      <Chart
        title="Memory"
        limit={memory && formatBytes(memory.totalBytes)}
        times={times}
        atLeast={memory?.totalBytes ?? 0}
        isBinary
        format={formatBytes}
        series={[{ name: "used", color: "--good", values: samples.map(({ host }) => host.memory.totalBytes - host.memory.availableBytes) }]}
      />
      <Chart
        title="Pressure"
        times={times}
        atLeast={10}
        format={percent}
        series={[
          { name: "cpu", color: "--accent", values: samples.map(({ host }) => host.pressure?.cpu.some10 ?? null) },
          { name: "mem", color: "--good", values: samples.map(({ host }) => host.pressure?.memory.some10 ?? null) },
          { name: "io", color: "--warn", values: samples.map(({ host }) => host.pressure?.io.some10 ?? null) },
        ]}
      />
    </div>
  );
};

const LatestEvents = ({ events }: { events: readonly api.Event[] }) => {
  const names = sandboxes.value;
  const now = Date.now();
  if (events.length === 0) return <p class="muted">Nothing happened yet.</p>;
  return (
    <ul class="item-list">
      {events.map(({ id, type = "", subject = "", time = "", data }) => {
        const name = names?.get(subject)?.name;
        return (
          <li key={id}>
            <span class="grow">
              <strong>{type}</strong>{" "}
              {name === undefined ? (
                <span class="muted">{String(data?.["name"] ?? "")}</span>
              ) : (
                <a href={href(["sandboxes", subject])}>{name}</a>
              )}
            </span>
            <span class="muted">{formatAgo(time, now)}</span>
          </li>
        );
      })}
    </ul>
  );
};
