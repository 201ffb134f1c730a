/** Which requests leave HTTP: handshakes on a terminal. All others are answered as if they had not asked for it. */
export const isTerminalHandshake = (url: string | undefined, upgrade: string | undefined): boolean =>
  /^websocket$/i.test(upgrade ?? "") && /^\/v1\/sandboxes\/[^/?]+\/processes\/[^/?]+\/terminal(\?|$)/.test(url ?? "");
