/** A list and the details of what is selected in it: side by side, or one over the other on a narrow screen. */

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { t } from "../i18n.ts";
import { read, write } from "../preferences.ts";
import { Icon } from "./icons.tsx";

const MIN = 320;

export function Split({ children, detail, title, onClose }: { children: ComponentChildren; detail: ComponentChildren; title: ComponentChildren; onClose: () => void }) {
  const [width, setWidth] = useState(Number(read("detail")) || 460);
  const frame = useRef<HTMLDivElement>(null);
  const drag = (event: PointerEvent): void => {
    const box = frame.current?.getBoundingClientRect();
    if (!box) return;
    event.preventDefault();
    const move = (to: PointerEvent): void => setWidth(Math.max(MIN, Math.min(box.width - MIN, box.right - to.clientX)));
    const up = (to: PointerEvent): void => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      write("detail", String(Math.round(Math.max(MIN, box.right - to.clientX))));
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
  };
  return (
    <div class={`split ${detail ? "open" : ""}`} ref={frame}>
      <div class="split-main">{children}</div>
      {detail && (
        <aside class="detail" style={{ "--detail-width": `${width}px` }} aria-label={t("details")}>
          <div class="handle" onPointerDown={drag} />
          <header class="detail-head">
            <div class="detail-title">{title}</div>
            <button type="button" class="icon-button" aria-label={t("close")} title={`${t("close")} (Esc)`} onClick={onClose}>
              <Icon name="close" />
            </button>
          </header>
          <div class="detail-body">{detail}</div>
        </aside>
      )}
    </div>
  );
}
