/** Patterns of paths: `*` and `?` within a name, `**` for any number of directories. Names are compared as bytes (latin1). */

/**
 * Whether a name fits a pattern of `*` and `?`. As in a shell, a leading dot has to be named. One pass with one place to go back to,
 * so that no pattern takes more than the product of the lengths.
 */
export const fitsName = (pattern: string, name: string): boolean => {
  if (name.startsWith(".") && !pattern.startsWith(".")) return false;
  let at = 0;
  let star = -1;
  let retry = 0;
  for (let index = 0; index < name.length; ) {
    if (pattern[at] === "*") {
      star = at++;
      retry = index;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === name[index])) {
      at++;
      index++;
    } else if (star !== -1) {
      at = star + 1;
      index = ++retry;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
};

export const isPattern = (part: string): boolean => /[*?]/.test(part);

/** The names of a path or pattern, as bytes. */
export const partsOf = (path: string): string[] =>
  Buffer.from(path)
    .toString("latin1")
    .split("/")
    .filter((part) => part !== "" && part !== ".");

export const pathOf = (parts: readonly string[]): Buffer => Buffer.from(`/${parts.join("/")}`, "latin1");
