import type { ComponentChildren } from "preact";

export interface Column<T> {
  title: string;
  cell: (item: T) => ComponentChildren;
  /** Numbers stand to the right. */
  numeric?: boolean;
  /** Left out at the width of a phone. */
  minor?: boolean;
}

interface TableProps<T> {
  /** What it lists, for screen readers. */
  label: string;
  columns: readonly Column<T>[];
  items: readonly T[];
  keyOf: (item: T) => string | number;
}

const classOf = (numeric = false, minor = false): string => [numeric && "numeric", minor && "minor"].filter(Boolean).join(" ");

/** A table; at the width of a phone each row is a card whose cells name their columns. */
export const Table = <T,>({ label, columns, items, keyOf }: TableProps<T>) => (
  <div class="table-frame">
    <table aria-label={label}>
      <thead>
        <tr>
          {columns.map(({ title, numeric, minor }) => (
            <th key={title} scope="col" class={classOf(numeric, minor)}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {items.map((item) => (
          <tr key={keyOf(item)}>
            {columns.map(({ title, cell, numeric, minor }) => (
              <td key={title} data-label={title} class={classOf(numeric, minor)}>
                {cell(item)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);
