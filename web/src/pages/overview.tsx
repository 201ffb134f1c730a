import { PageHead } from "../components/page.tsx";
import { Loading } from "../components/states.tsx";
import { sandboxes } from "../live.ts";

const states = ["running", "paused", "starting", "stopping", "created", "stopped", "failed"] as const;

/** How much there is of what, live. */
export const OverviewPage = () => {
  const all = sandboxes.value;
  if (all === null) return <Loading />;
  const count = (state: string): number => [...all.values()].filter(({ status }) => status.state === state).length;
  return (
    <>
      <PageHead title="Overview" about="What runs on this host, as it happens." />
      <dl class="counts">
        {states.map((state) => (
          <div key={state} class="card">
            <dt>{state}</dt>
            <dd>{count(state)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
};
