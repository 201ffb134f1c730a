/** Bytes of one piece: the most output that is asked for at a time, with the heads of its records, or as JSON. */
const pieceBytes = 196_608;
/** Bytes from which on it pays. */
const largeBytes = 16_384;
const keptPieces = 16;
const free: Buffer[] = [];

export interface Lent {
  bytes: Buffer;
  /** Gives the memory back, to be used again; nothing may look into it afterwards. Who does not call it leaves it to the collector. */
  release(): void;
}

/**
 * Memory for so many bytes. Large pieces are used again: all output goes through them, and what lies beside V8's heap makes V8
 * collect all of the heap every ten megabytes, with pauses of 15 ms.
 */
export const lendMemory = (length: number): Lent => {
  if (length < largeBytes || length > pieceBytes) return { bytes: Buffer.allocUnsafe(length), release: () => {} };
  const piece = free.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
  let lent = true;
  const release = (): void => {
    if (lent && free.length < keptPieces) free.push(piece);
    lent = false;
  };
  return { bytes: piece.subarray(0, length), release };
};
