import { randomFillSync } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const random = new Uint8Array(16);
let lastTime = 0;

/**
 * A new id: 26 characters of lowercase Crockford base32, 48 bits of milliseconds and 80 bits of chance (the layout of a ULID).
 * Ids of one process sort in the order they were made: within one millisecond, or when the clock steps back, the last
 * one's random part is counted up.
 */
export const newId = (now: number = Date.now()): string => {
  if (now > lastTime) {
    lastTime = now;
    randomFillSync(random);
    for (let index = 0; index < 16; index += 1) random[index] = (random[index] ?? 0) & 31;
  } else {
    for (let index = 15; index >= 0; index -= 1) {
      const digit = ((random[index] ?? 0) + 1) & 31;
      random[index] = digit;
      if (digit !== 0) break;
      if (index === 0) lastTime += 1;
    }
  }
  let head = "";
  for (let time = lastTime, index = 0; index < 10; index += 1, time = Math.floor(time / 32)) head = alphabet.charAt(time % 32) + head;
  return head + Array.from(random, (digit) => alphabet.charAt(digit)).join("");
};

/** Whether `text` has the form of an id. A name never has it by chance: names may, so ids are looked up first. */
export const isId = (text: string): boolean => /^[0-9a-hjkmnp-tv-z]{26}$/.test(text);
