/** What a terminal could take for an order, or that hides or turns what is shown (general categories of Unicode). */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const asCode = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
};

/** A text from a sandbox as one line that a terminal only shows. */
export const escapedLine = (text: string): string => text.replaceAll(unsafe, asCode);

/** Output of a command: its lines and tabs stay, nothing else acts on the terminal. */
export const escapedOutput = (text: string): string =>
  text
    .replaceAll(unsafe, (character) => (character === "\n" || character === "\t" ? character : asCode(character)))
    .replaceAll("\\x0d\n", "\n");
