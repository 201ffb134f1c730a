import { visible } from "./text.ts";

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Any text as character data or an attribute's value of XML 1.0, which cannot hold controls even when they are escaped. */
export const xml = (text: string): string => visible(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);

/** A piece of the picture that knows its size and draws itself at a place. Lengths are pixels. */
export interface Block {
  width: number;
  height: number;
  draw(x: number, y: number): string;
}

/** Widths of a character, at the sizes that `svg-style.ts` gives the classes. */
export const monoWidth = 6.7;
export const sansWidth = 6.6;

export const textAt = (x: number, y: number, classes: string, text: string): string =>
  `<text x="${x}" y="${y}" class="${classes}">${xml(text)}</text>`;

export const box = (x: number, y: number, width: number, height: number, classes: string, radius = 8): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}" class="${classes}"/>`;

/** A group that is announced, and shows its title when it is pointed at. */
export const group = (title: string, parts: readonly string[]): string =>
  `<g role="group" aria-label="${xml(title)}"><title>${xml(title)}</title>${parts.join("")}</g>`;

export const chipHeight = 24;

/** One namespace: its type and inode. */
export const chip = (x: number, y: number, width: number, type: string, inode: number, title: string): string =>
  group(title, [
    box(x, y, width, chipHeight, "chip", 5),
    `<rect x="${x}" y="${y}" width="5" height="${chipHeight}" rx="2" class="bar ${type}"/>`,
    textAt(x + 12, y + 16, "label", type),
    `<text x="${x + width - 8}" y="${y + 16}" class="mono end">${inode}</text>`,
  ]);
