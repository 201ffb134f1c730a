/** Controls, halves of pairs, and characters that show nothing or turn the direction of text (general categories of Unicode), and what XML cannot hold. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu;

/** As a program's source would write it: readable in every font. */
const escapeOf = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
};

/** A text from a sandbox or a caller as one line in which nothing acts and everything can be seen. */
export const visible = (text: string): string => text.replaceAll(unseen, escapeOf);

/** At most `length` characters; an ellipsis stands for what is left out. */
export const shortened = (text: string, length: number): string => {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, Math.max(0, length - 1)).join("")}\u2026`;
};

/** The words of a command as a person would read them, by the program's own name. */
export const commandText = (command: readonly string[]): string => {
  const [program = "", ...rest] = command;
  return visible([program.slice(program.lastIndexOf("/") + 1) || program, ...rest].join(" "));
};

/** "1 process", "2 processes". */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
