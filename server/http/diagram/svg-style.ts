/** Colours of the types of namespaces, on light and on dark ground. */
const colours: Readonly<Record<string, readonly [string, string]>> = {
  mnt: ["#1d6fd8", "#6cb0ff"],
  uts: ["#9a6700", "#e3b341"],
  ipc: ["#0a7f86", "#4fd1d9"],
  net: ["#1a7f37", "#56d364"],
  pid: ["#8250df", "#bc8cff"],
  user: ["#cf3a4c", "#ff8b94"],
  cgroup: ["#57606a", "#a3adb8"],
  time: ["#bc4c00", "#ffa657"],
};

const typeRules = (index: 0 | 1): string =>
  Object.entries(colours)
    .map(([type, pair]) => `.bar.${type},.port.${type}{fill:${pair[index]}}.lane.${type}{stroke:${pair[index]}}`)
    .join("");

/** Plain declarations rather than custom properties, which some viewers of SVG do not know. */
const rules = (index: 0 | 1): string => {
  const [ground, host, surface, panel, line, text, quiet] = (
    [
      ["#ffffff", "#f6f8fa", "#ffffff", "#f6f8fa", "#afb8c1", "#1f2328", "#57606a"],
      ["#0d1117", "#11161d", "#1a212b", "#11161d", "#515b67", "#e6edf3", "#a3adb8"],
    ] as const
  )[index];
  return [
    `.ground{fill:${ground}}.host{fill:${host};stroke:${line}}.sandbox{fill:${surface};stroke:${line}}`,
    `.panel{fill:${panel}}.chip{fill:${surface};stroke:${line}}.halo{stroke:${host}}.tree{stroke:${line}}`,
    `text{fill:${text}}.quiet{fill:${quiet}}`,
    `.running{fill:${index ? "#56d364" : "#1a7f37"}}.paused{fill:${index ? "#e3b341" : "#9a6700"}}.other{fill:${quiet}}`,
    typeRules(index),
  ].join("");
};

export const style = [
  "text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}",
  ".mono{font:11px ui-monospace,'SF Mono',Menlo,'DejaVu Sans Mono',monospace}.end{text-anchor:end}",
  ".title{font-size:16px;font-weight:600}.name{font-size:14px;font-weight:600}.label{font-weight:600}.small{font-size:11px}",
  ".lane{fill:none;stroke-width:2}.halo{fill:none;stroke-width:6}.tree{fill:none}",
  rules(0),
  `@media (prefers-color-scheme:dark){${rules(1)}}`,
].join("");
