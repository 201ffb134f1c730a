/** How far a debootstrap is: the step it is in, the part of the whole that is done, and what it is working on. */
export interface DebootstrapState {
  phase: string;
  progress: number;
  message: string;
}

/** Each step that debootstrap names in its progress lines: its words, and where it begins and ends in the whole (by time, of a minbase). */
const steps: Record<string, { phase: string; from: number; to: number }> = {
  DOWNREL: { phase: "retrieving the release", from: 0, to: 0.01 },
  DOWNRELSIG: { phase: "checking the signature", from: 0.01, to: 0.02 },
  DOWNPKGS: { phase: "retrieving the index", from: 0.02, to: 0.08 },
  SIZEDEBS: { phase: "resolving packages", from: 0.08, to: 0.12 },
  DOWNDEBS: { phase: "retrieving packages", from: 0.12, to: 0.35 },
  EXTRACTPKGS: { phase: "extracting packages", from: 0.35, to: 0.48 },
  INSTCORE: { phase: "installing the core", from: 0.48, to: 0.54 },
  UNPACKREQ: { phase: "unpacking required packages", from: 0.54, to: 0.68 },
  CONFREQ: { phase: "configuring required packages", from: 0.68, to: 0.8 },
  UNPACKBASE: { phase: "unpacking the base system", from: 0.8, to: 0.86 },
  CONFBASE: { phase: "configuring the base system", from: 0.86, to: 0.92 },
};

/** The part of the whole that is done when debootstrap itself is done; the rest is digests, manifest and sync. */
export const debootstrapShare = 0.92;

/**
 * Reads what `debootstrap --debian-installer` writes to descriptor 3: records of lines, each `P: NOW END [STEP]` (progress, in
 * bytes or packages) or `I:`/`W:`/`E: NAME` (news), then `IA:` lines with arguments, then `IF: FORMAT`
 * (debootstrap's functions file: info, error, progress).
 */
export class DebootstrapProgress {
  readonly state: DebootstrapState = { phase: "starting", progress: 0, message: "" };
  /** What its `E:` records said. */
  readonly errors: string[] = [];
  readonly #onNews: (line: string) => void;
  #step: (typeof steps)[string] | null = null;
  #args: string[] = [];

  /** `onNews` gets each piece of news as debootstrap prints it for people, such as `W: ...`. */
  constructor(onNews: (line: string) => void = () => {}) {
    this.#onNews = onNews;
  }

  /** Takes one line; answers whether the state changed. */
  feed(line: string): boolean {
    const record = /^P: (\d+) (\d+)(?: ([A-Z]+))?$/.exec(line);
    if (record) return this.#progress(Number(record[1]), Number(record[2]), record[3]);
    const [, kind = "", part = "", text = ""] = /^([IWE])(A|F)?: ?(.*)$/.exec(line) ?? [];
    if (part === "") this.#args = [];
    else if (part === "A") this.#args.push(text);
    else return this.#news(kind, text);
    return false;
  }

  #progress(now: number, end: number, name: string | undefined): boolean {
    // While a file comes in, the lines name no step: they are of the last one named.
    if (name !== undefined && steps[name] && steps[name] !== this.#step) {
      this.#step = steps[name];
      this.state.message = "";
    }
    if (!this.#step) return false;
    const { phase, from, to } = this.#step;
    const part = end > 0 ? Math.min(now / end, 1) : 0;
    this.state.phase = phase;
    // Never backwards: some steps are announced again when they are over.
    this.state.progress = Math.max(this.state.progress, from + part * (to - from));
    return true;
  }

  #news(kind: string, format: string): boolean {
    const args = this.#args.values();
    const text = format.replace(/%s/g, () => args.next().value ?? "").trim();
    if (kind === "E") this.errors.push(text);
    this.state.message = text;
    this.#onNews(`${kind}: ${text}`);
    return true;
  }
}
