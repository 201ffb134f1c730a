import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  name: string;
  /** A colour of tokens.css, as `--accent`. */
  color: string;
  values: readonly (number | null)[];
}

interface ChartProps {
  title: string;
  /** What there is in all, behind the newest value. */
  limit?: string | undefined;
  /** Seconds since 1970, one for each value. */
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** The least that the scale reaches to, so that small noise does not look like mountains. */
  atLeast?: number;
  /** Steps of the scale are powers of two, as the units of bytes are. */
  isBinary?: boolean;
}

/** What a picture shows at once, however little of it is known. */
const windowSeconds = 240;
const powersOfTwo = Array.from({ length: 50 }, (_, power) => 2 ** power);

const height = 130;
const colorOf = (element: Element, name: string): string => {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

const optionsOf = (element: HTMLElement, { series, format, atLeast = 0, isBinary = false }: ChartProps): uPlot.Options => {
  const muted = colorOf(element, "--muted");
  const grid = { stroke: colorOf(element, "--line"), width: 1 };
  return {
    width: Math.max(120, element.clientWidth),
    height,
    legend: { show: false },
    padding: [8, 30, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { range: (_chart, _first, last) => [last - windowSeconds, last] },
      y: { range: (_chart, _low, high) => [0, Math.max(atLeast, high) * 1.1 || 1] },
    },
    axes: [
      {
        stroke: muted,
        grid: { show: false },
        ticks: { show: false },
        size: 26,
        values: (_chart, ticks) => ticks.map((tick) => new Date(tick * 1_000).toLocaleTimeString("en-GB")),
        space: 90,
      },
      {
        stroke: muted,
        grid,
        ticks: { show: false },
        size: 58,
        values: (_chart, ticks) => ticks.map(format),
        space: 34,
        ...(isBinary && { incrs: powersOfTwo }),
      },
    ],
    series: [
      {},
      ...series.map(({ name, color }) => {
        const stroke = colorOf(element, color);
        return { label: name, stroke, width: 2, fill: `color-mix(in srgb, ${stroke}, transparent 88%)`, points: { show: false } };
      }),
    ],
  };
};

/** Lines over time. The newest values stand beside the title, so that the picture is not needed to know them. */
export const Chart = (props: ChartProps) => {
  const { title, limit, times, series, format } = props;
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const parent = element.current;
    if (parent === null) return;
    const draw = () => {
      chart.current?.destroy();
      const { times: xs, series: lines } = latest.current;
      chart.current = new uPlot(optionsOf(parent, latest.current), [[...xs], ...lines.map(({ values }) => [...values])], parent);
    };
    draw();
    const sizes = new ResizeObserver(() => chart.current?.setSize({ width: Math.max(120, parent.clientWidth), height }));
    sizes.observe(parent);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      sizes.disconnect();
      scheme.removeEventListener("change", draw);
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);

  useEffect(() => chart.current?.setData([[...times], ...series.map(({ values }) => [...values])]), [times, series]);

  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        {series.map(({ name, color, values }) => {
          const last = values.at(-1) ?? null;
          return (
            <span key={name} class="chart-value">
              <span class="swatch" style={{ background: `var(${color})` }} />
              {series.length > 1 && <span class="muted">{name}</span>} <strong>{last === null ? "–" : format(last)}</strong>
              {limit !== undefined && <span class="muted">of {limit}</span>}
            </span>
          );
        })}
      </figcaption>
      <div ref={element} aria-hidden="true" />
    </figure>
  );
};
