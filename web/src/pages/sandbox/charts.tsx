import { useEffect, useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Chart } from "../../components/chart.tsx";
import { ErrorBox } from "../../components/states.tsx";
import { formatBytes, formatNumber } from "../../format.ts";
import { noticeFailure, session } from "../../session.ts";

type Stats = api.Operations["getSandboxStats"]["reply"];

const everyMilliseconds = 2_000;
/** Four minutes. */
const mostSamples = 120;

interface Sample {
  seconds: number;
  usage: NonNullable<Stats["usage"]>;
}

/** The change of a counter between one sample and the one before, each second; null where there is none before. */
const rates = (samples: readonly Sample[], counter: (usage: Sample["usage"]) => number | undefined): (number | null)[] =>
  samples.map(({ seconds, usage }, index) => {
    const before = samples[index - 1];
    const [now, then] = [counter(usage), before && counter(before.usage)];
    if (before === undefined || now === undefined || then === undefined || seconds <= before.seconds) return null;
    return Math.max(0, (now - then) / (seconds - before.seconds));
  });

/** What it uses, as it does. Asked for every two seconds while somebody looks; a long stream would take a connection of the few that a browser has. */
export const StatsCharts = ({ id }: { id: string }) => {
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const left = new AbortController();
    const look = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const { time, usage } = await session.value.call("getSandboxStats", { path: { sandbox: id }, query: {} }, { signal: left.signal });
        if (left.signal.aborted) return;
        setError(null);
        if (usage !== null) setSamples((before) => [...before, { seconds: Date.parse(time) / 1_000, usage }].slice(-mostSamples));
      } catch (reason) {
        if (left.signal.aborted) return;
        noticeFailure(reason);
        setError(reason);
      }
    };
    void look();
    const timer = setInterval(look, everyMilliseconds);
    return () => {
      clearInterval(timer);
      left.abort();
    };
  }, [id]);

  const times = samples.map(({ seconds }) => seconds);
  const last = samples.at(-1)?.usage;
  return (
    <>
      {error !== null && <ErrorBox error={error} />}
      <div class="charts">
        <Chart
          title="CPU"
          times={times}
          atLeast={10}
          format={(value) => `${formatNumber(value)} %`}
          series={[
            { name: "used", color: "--accent", values: rates(samples, ({ cpu }) => cpu.usageSeconds).map((each) => each && each * 100) },
            ...(last?.throttling
              ? [
                  {
                    name: "throttled",
                    color: "--bad",
                    values: rates(samples, ({ throttling }) => throttling?.throttledSeconds).map((each) => each && each * 100),
                  },
                ]
              : []),
          ]}
        />
        <Chart
          title="Memory"
          limit={last?.memory?.limitBytes ? formatBytes(last.memory.limitBytes) : undefined}
          times={times}
          atLeast={1_048_576}
          isBinary
          format={formatBytes}
          series={[{ name: "used", color: "--good", values: samples.map(({ usage }) => usage.memory?.currentBytes ?? null) }]}
        />
        <Chart
          title="Processes"
          limit={last?.pids?.limit ? String(last.pids.limit) : undefined}
          times={times}
          atLeast={4}
          format={(value) => String(Math.round(value))}
          series={[{ name: "alive", color: "--busy", values: samples.map(({ usage }) => usage.pids?.current ?? null) }]}
        />
        {last?.network && (
          <Chart
            title="Network / s"
            times={times}
            atLeast={1_024}
            isBinary
            format={formatBytes}
            series={[
              { name: "in", color: "--busy", values: rates(samples, ({ network }) => network?.receivedBytes) },
              { name: "out", color: "--warn", values: rates(samples, ({ network }) => network?.sentBytes) },
            ]}
          />
        )}
      </div>
    </>
  );
};
