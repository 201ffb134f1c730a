import type { api } from "../../../../client/browser.ts";
import { Chart } from "../../components/chart.tsx";
import { ErrorBox } from "../../components/states.tsx";
import { formatBytes, formatNumber } from "../../format.ts";
import { useSamples } from "../../samples.ts";

type Stats = api.Operations["getSandboxStats"]["reply"];

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

/** What it uses, as it does. */
export const StatsCharts = ({ id }: { id: string }) => {
  const { samples, error } = useSamples<Sample>(
    async (client, signal) => {
      const { time, usage } = await client.call("getSandboxStats", { path: { sandbox: id }, query: {} }, { signal });
      return usage === null ? null : { seconds: Date.parse(time) / 1_000, usage };
    },
    [id],
  );

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
