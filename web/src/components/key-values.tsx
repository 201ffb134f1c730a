import type { ComponentChildren } from "preact";

/** Names and what they stand for. What is null is not there. */
export const KeyValues = ({ items }: { items: readonly (readonly [string, ComponentChildren])[] }) => (
  <dl class="key-values">
    {items
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
);
