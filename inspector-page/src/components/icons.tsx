/** The icons, drawn on a grid of 16. */

import type { JSX } from "preact";

const PATHS: Record<string, JSX.Element> = {
  requests: <path d="M2 4h9M2 8h12M2 12h6" />,
  endpoints: <><path d="M2 8h8M7 4.5 10.5 8 7 11.5" /><path d="M13.5 3v10" /></>,
  errors: <><path d="M8 2.2 14.4 13.4H1.6Z" /><path d="M8 6.6v3M8 11.5v.1" /></>,
  logs: <><rect x="2.5" y="2" width="11" height="12" rx="1.5" /><path d="M5 5.5h6M5 8h6M5 10.5h3.5" /></>,
  database: <><ellipse cx="8" cy="4" rx="5.5" ry="2" /><path d="M2.5 4v8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2V4M2.5 8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2" /></>,
  metrics: <path d="M2 13.5h12M3.5 11V8M6.5 11V4.5M9.5 11V7M12.5 11V2.5" />,
  services: <><circle cx="3.5" cy="8" r="1.8" /><circle cx="12.5" cy="3.8" r="1.8" /><circle cx="12.5" cy="12.2" r="1.8" /><path d="m5.2 7.2 5.6-2.6M5.2 8.8l5.6 2.6" /></>,
  status: <><circle cx="8" cy="8" r="6" /><path d="m5.4 8.2 1.8 1.8 3.4-3.8" /></>,
  search: <><circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3.5 3.5" /></>,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  chevron: <path d="m6 4 4 4-4 4" />,
  back: <path d="M13 8H3M7 4 3 8l4 4" />,
  copy: <><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M3.5 10.5h-1v-8h8v1" /></>,
  check: <path d="m3 8.5 3.2 3.2L13 4.8" />,
  pause: <path d="M5.5 3.5v9M10.5 3.5v9" />,
  play: <path d="M5 3.2v9.6L12.5 8Z" />,
  sun: <><circle cx="8" cy="8" r="2.8" /><path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9" /></>,
  moon: <path d="M13.2 9.8A5.6 5.6 0 0 1 6.2 2.8a5.6 5.6 0 1 0 7 7Z" />,
  auto: <><circle cx="8" cy="8" r="5.6" /><path d="M8 2.4v11.2A5.6 5.6 0 0 0 8 2.4Z" fill="currentColor" /></>,
  menu: <path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" />,
  help: <><circle cx="8" cy="8" r="6" /><path d="M6.2 6.3c.2-1 1-1.5 1.9-1.5 1 0 1.8.7 1.8 1.6 0 1.3-1.8 1.4-1.8 2.6M8 11.2v.1" /></>,
  command: <path d="M5.5 5.5h5v5h-5zM5.5 5.5H4A1.7 1.7 0 1 1 5.5 4ZM10.5 5.5V4A1.7 1.7 0 1 1 12 5.5ZM10.5 10.5H12a1.7 1.7 0 1 1-1.5 1.5ZM5.5 10.5V12A1.7 1.7 0 1 1 4 10.5Z" />,
  link: <path d="M6.8 9.2a2.4 2.4 0 0 0 3.4 0l2.2-2.2A2.4 2.4 0 0 0 9 3.6l-.8.8M9.2 6.8a2.4 2.4 0 0 0-3.4 0L3.6 9A2.4 2.4 0 0 0 7 12.4l.8-.8" />,
  trash: <path d="M2.5 4.5h11M6 4.5V3h4v1.5M4 4.5l.6 9h6.8l.6-9" />,
  repeat: <path d="M3 7V6a2 2 0 0 1 2-2h7.5L10.5 2M13 9v1a2 2 0 0 1-2 2H3.5l2 2" />,
  globe: <><circle cx="8" cy="8" r="6" /><path d="M2 8h12M8 2c2 2 2.6 4 2.6 6S10 12 8 14c-2-2-2.6-4-2.6-6S6 4 8 2Z" /></>,
  queue: <><path d="M2 4.5h3v7H2zM6.5 4.5h3v7h-3zM11 4.5h3v7h-3z" /></>,
};

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {PATHS[name]}
    </svg>
  );
}
