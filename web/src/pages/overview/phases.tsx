import { Empty } from "../../components/states.tsx";
import { formatMilliseconds, formatNumber } from "../../format.ts";
import type { PhaseTotal } from "./metrics.ts";

/** How long a launch spends in each of its phases, on average since the daemon's start. */
export const Phases = ({ phases }: { phases: ReadonlyMap<string, PhaseTotal> }) => {
  const rows = [...phases]
    .filter(([, { count }]) => count > 0)
    .map(([name, { count, seconds }]) => ({ name, count, milliseconds: (seconds / count) * 1_000 }));
  const longest = Math.max(...rows.map(({ milliseconds }) => milliseconds));
  if (rows.length === 0) return <Empty icon="runs" title="Nothing was launched yet" />;
  return (
    <dl class="bars">
      {rows.map(({ name, count, milliseconds }) => (
        <div key={name}>
          <dt>
            {name} <span class="muted">× {formatNumber(count)}</span>
          </dt>
          <dd>
            <span class="bar" style={{ width: `${Math.max(1, (milliseconds / longest) * 100)}%` }} />
            <span class="bar-value">{formatMilliseconds(milliseconds)}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
};
