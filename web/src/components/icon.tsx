/** Drawn on a grid of 24, with lines that take the colour of the text. */
const paths = {
  overview: "M4 13h6V4H4zM14 9h6V4h-6zM14 20h6v-7h-6zM4 20h6v-3H4z",
  sandboxes: "M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10",
  roots: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zM4 6v6c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12v6c0 1.7 3.6 3 8 3s8-1.3 8-3v-6",
  runs: "M6 4l14 8-14 8z",
  events: "M3 12h4l3-8 4 16 3-8h4",
  tokens: "M15 9a5 5 0 1 0-4.6 5L12 15.6V18h2.4v2.4H17V23h4v-4l-7-7c.6-.9 1-1.9 1-3zM9.5 8.5h.01",
  host: "M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01",
  docs: "M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5",
  logout: "M14 4H6v16h8M10 12h11M17 8l4 4-4 4",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM16 16l5 5",
  play: "M7 5l12 7-12 7z",
  stop: "M6 6h12v12H6z",
  pause: "M8 5v14M16 5v14",
  kill: "M12 3v9M6.5 6.5a8 8 0 1 0 11 0",
  restart: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 14h10l1-14M10 11v6M14 11v6",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  download: "M12 4v12M7 11l5 5 5-5M4 20h16",
  folder: "M3 6h6l2 2h10v11H3z",
  file: "M6 3h9l4 4v14H6zM14 3v5h5",
  link: "M10 14a4 4 0 0 0 6 0l4-4a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-4 4a4 4 0 0 0 6 6l1-1",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  terminal: "M4 5h16v14H4zM7 9l3 3-3 3M12 15h5",
  warning: "M12 4 2.5 20h19zM12 10v5M12 17.5h.01",
  check: "M5 12l5 5L20 7",
  chevron: "M9 5l7 7-7 7",
  offline: "M3 3l18 18M8.5 15.5a5 5 0 0 1 7 0M5 12a10 10 0 0 1 4-2.4M19 12a10 10 0 0 0-7-3M12 19h.01",
} as const;

export type IconName = keyof typeof paths;

/** Only a picture: what it stands for is said by the text beside it, or by the label of its button. */
export const Icon = ({ name, size = 18 }: { name: IconName; size?: number }) => (
  <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d={paths[name]} />
  </svg>
);
