import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const options = { duration: 320, easing: "cubic-bezier(.2, .8, .2, 1)" };

/** Children with a `data-key` move to their new places instead of jumping there; new ones grow. */
export const useMotion = (parent: RefObject<HTMLElement | null>): void => {
  const places = useRef<Map<string, DOMRect> | null>(null);
  useLayoutEffect(() => {
    const element = parent.current;
    if (element === null) return;
    const before = places.current;
    const now = new Map<string, DOMRect>();
    const origin = element.getBoundingClientRect();
    for (const child of element.querySelectorAll<HTMLElement>("[data-key]")) {
      const key = child.dataset["key"] ?? "";
      const box = child.getBoundingClientRect();
      const place = new DOMRect(box.x - origin.x, box.y - origin.y, box.width, box.height);
      now.set(key, place);
      if (before === null || still.matches) continue;
      const old = before.get(key);
      if (old === undefined)
        child.animate(
          [
            { opacity: 0, transform: "scale(.85)" },
            { opacity: 1, transform: "none" },
          ],
          options,
        );
      else if (old.x !== place.x || old.y !== place.y)
        child.animate([{ transform: `translate(${old.x - place.x}px, ${old.y - place.y}px)` }, { transform: "none" }], options);
    }
    places.current = now;
  });
};
