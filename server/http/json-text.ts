import { DomainError } from "../domain/errors.ts";

/** Levels of lists and objects within each other; what the API takes needs five. */
const deepest = 64;

/** An open object (with the names it has so far) or list, and the name or index that is being read. */
interface Level {
  names: Set<string> | null;
  at: string | number;
}

const refusal = (levels: readonly Level[], detail: string): DomainError => {
  const parts = levels.map(({ at }) => `/${String(at).slice(0, 256).replaceAll("~", "~0").replaceAll("/", "~1")}`);
  const pointer = parts.slice(0, deepest).join("");
  return new DomainError("invalid-request", `the body is not unambiguous JSON: ${pointer} ${detail}`, { faults: [{ pointer, detail }] });
};

/** The most commas and opening brackets outside of texts that a large body has; a batch of 100 runs with 256 files each has a third of that. */
const mostMarks = 262_144;

/** The index of the quote that ends the string which begins at `start`; -1 where none does. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end;
  }
};

/**
 * For large bodies, before they are parsed: what is long may be its texts, not its structure, whose parsing would hold everybody up.
 * @throws DomainError `invalid-request`
 */
export const checkJsonMarks = (text: string): void => {
  let marks = 0;
  for (let at = 0; at < text.length; at++) {
    const mark = text[at];
    if (mark === '"') {
      at = endOfString(text, at);
      if (at === -1) return;
    } else if ((mark === "," || mark === "[" || mark === "{") && ++marks > mostMarks)
      throw new DomainError("invalid-request", `the body has more than ${mostMarks} values`);
  }
};

/** Where there is none of it, no string can hold half of a surrogate pair: bodies are UTF-8, which has none but by escapes. */
const escapedSurrogate = /\\u[dD][89a-fA-F]/;

/**
 * Refuses what parsers disagree on or stumble over, and JSON.parse lets pass: a name twice in one object (RFC 8259, section 4),
 * nesting deeper than any field, and strings that are no Unicode (RFC 8259, section 8.2): half of a surrogate pair would be
 * told back as it came, and become U+FFFD in a path, an argument or a name of the kernel.
 * @param text JSON that has been parsed without a fault
 * @throws DomainError `invalid-request` with the pointer of the field
 */
export const checkJsonText = (text: string): void => {
  const levels: Level[] = [];
  const mayBeHalf = escapedSurrogate.test(text);
  let awaitsName = false;
  for (let at = 0; at < text.length; at++) {
    const level = levels.at(-1);
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        if (mayBeHalf && !(JSON.parse(text.slice(at, end + 1)) as string).isWellFormed())
          throw refusal(levels, awaitsName ? "has a name that is no Unicode" : "is no Unicode: half of a surrogate pair");
        if (awaitsName && level?.names) {
          const name = JSON.parse(text.slice(at, end + 1)) as string;
          level.at = name;
          if (level.names.has(name)) throw refusal(levels, "is there twice");
          level.names.add(name);
          awaitsName = false;
        }
        at = end;
        break;
      }
      case "{":
      case "[":
        if (levels.length === deepest) throw refusal(levels, `is more than ${deepest} levels deep`);
        awaitsName = text[at] === "{";
        levels.push(awaitsName ? { names: new Set(), at: "" } : { names: null, at: 0 });
        break;
      case "}":
      case "]":
        levels.pop();
        awaitsName = false;
        break;
      case ",":
        awaitsName = level?.names != null;
        if (typeof level?.at === "number") level.at++;
        break;
    }
  }
};
