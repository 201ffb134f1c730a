import type { api } from "../../../../client/browser.ts";
import { Badge } from "../../components/badge.tsx";
import { KeyValues } from "../../components/key-values.tsx";
import { formatBytes, formatMilliseconds, formatTime } from "../../format.ts";

/** What a stop or a delete released. */
export const Receipt = ({ receipt }: { receipt: api.Receipt }) => (
  <KeyValues
    items={[
      ["Why", receipt.reason],
      ["Processes", `${receipt.processes} ended`],
      ["Mounts", `${receipt.mounts} gone`],
      ["Cgroups", `${receipt.cgroups} removed`],
      ["Namespaces", `${Object.keys(receipt.namespaces).length} released`],
      ["Files", receipt.files > 0 ? `${receipt.files} removed, ${formatBytes(receipt.bytes)}` : null],
      ["Took", formatMilliseconds(receipt.durationMs)],
      ["At", formatTime(receipt.at)],
      [
        "Left over",
        <Badge key="left" tone={receipt.complete ? "good" : "bad"}>
          {receipt.complete ? "nothing" : receipt.remaining.join(", ")}
        </Badge>,
      ],
    ]}
  />
);
