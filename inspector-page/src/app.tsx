/** The frame of the page: side bar, the current view, command palette, help. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Help } from "./components/help.tsx";
import { Icon } from "./components/icons.tsx";
import { Palette, type Command } from "./components/palette.tsx";
import { bytes, count, short } from "./format.ts";
import { useKeys } from "./hooks.ts";
import { language, setLanguage, t, type Key } from "./i18n.ts";
import { isPaused, pause, start, useData, useLive } from "./live.ts";
import { applyTheme, theme, write, type Theme } from "./preferences.ts";
import { address, go, useRoute, VIEWS, type Route, type View } from "./route.ts";
import type { InspectorStatus } from "./types.ts";
import { DatabaseView } from "./views/database.tsx";
import { EndpointsView } from "./views/endpoints.tsx";
import { ErrorsView } from "./views/errors.tsx";
import { LogsView } from "./views/logs.tsx";
import { MetricsView } from "./views/metrics.tsx";
import { RequestsView } from "./views/requests.tsx";
import { ServicesView } from "./views/services.tsx";
import { StatusView } from "./views/status.tsx";
import { TraceView } from "./views/trace.tsx";

const THEMES: readonly Theme[] = ["system", "light", "dark"];
const THEME_ICONS: Record<Theme, string> = { system: "auto", light: "sun", dark: "moon" };

export function App() {
  const route = useRoute();
  const [, redraw] = useState(0);
  const [open, setOpen] = useState<"palette" | "help" | "menu" | null>(null);
  const chord = useRef(0); // when `g` was pressed
  useEffect(start, []);
  useEffect(() => {
    document.title = `${route.view === "trace" ? (route.parts[0] ?? "").slice(0, 8) : t(`view_${route.view}`)} · blogauto-otel dev`;
    setOpen((now) => (now === "menu" ? null : now));
  }, [route.view, route.parts[0], language()]);
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen((now) => (now === "palette" ? null : "palette"));
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  // A dialog reports its end late: what was opened meanwhile stays.
  const closed = (which: "palette" | "help"): void => setOpen((now) => (now === which ? null : now));
  const nextTheme = (): void => {
    applyTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] as Theme);
    redraw((n) => n + 1);
  };
  const nextLanguage = (): void => {
    const wanted = language() === "en" ? "ko" : "en";
    write("language", wanted);
    setLanguage(wanted);
    document.documentElement.lang = wanted;
    redraw((n) => n + 1);
  };
  const jump = (view: View) => (): void => {
    if (performance.now() - chord.current < 1500) go(address(view));
  };
  useKeys({
    "/": () => (document.querySelector(".filter input, .filter-text input") ? dispatchEvent(new Event("focus-filter")) : setOpen("palette")),
    "?": () => setOpen("help"),
    g: () => { chord.current = performance.now(); },
    p: () => pause(!isPaused()),
    t: nextTheme,
    r: jump("requests"),
    e: jump("errors"),
    n: jump("endpoints"),
    o: jump("logs"),
    d: jump("database"),
    m: jump("metrics"),
    s: jump("services"),
    i: jump("status"),
    ...Object.fromEntries(VIEWS.map((view, index) => [String(index + 1), () => go(address(view))])),
  });
  const commands: Command[] = [
    ...VIEWS.map((view, index) => ({ icon: view, text: t(`view_${view}`), hint: String(index + 1), run: () => go(address(view)) })),
    { icon: "errors", text: t("palette_failed"), run: () => go(address("requests", [], { q: "is:error" })) },
    { icon: "repeat", text: t("palette_repeated"), run: () => go(address("requests", [], { q: "is:repeated" })) },
    { icon: "requests", text: t("palette_slow"), run: () => go(address("requests", [], { q: "is:slow" })) },
    { icon: "pause", text: t(isPaused() ? "resume" : "pause"), hint: "p", run: () => pause(!isPaused()) },
    { icon: THEME_ICONS[theme()], text: `${t("theme")}: ${t(`theme_${theme()}`)}`, hint: "t", run: nextTheme },
    { icon: "globe", text: language() === "en" ? "한국어" : "English", run: nextLanguage },
    { icon: "help", text: t("keyboard"), hint: "?", run: () => setOpen("help") },
  ];
  return (
    <div class={`app ${open === "menu" ? "menu-open" : ""}`}>
      <TopBar route={route} onMenu={() => setOpen(open === "menu" ? null : "menu")} onPalette={() => setOpen("palette")} />
      <SideBar route={route} onPalette={() => setOpen("palette")} onHelp={() => setOpen("help")} onTheme={nextTheme} onLanguage={nextLanguage} />
      {open === "menu" && <div class="scrim" onClick={() => setOpen(null)} />}
      <main>
        <Connection />
        <ViewOf route={route} />
      </main>
      {open === "palette" && <Palette commands={commands} onClose={() => closed("palette")} />}
      {open === "help" && <Help onClose={() => closed("help")} />}
    </div>
  );
}

function ViewOf({ route }: { route: Route }) {
  switch (route.view) {
    case "trace": return <TraceView key={route.parts[0]} route={route} />;
    case "endpoints": return <EndpointsView />;
    case "errors": return <ErrorsView />;
    case "logs": return <LogsView route={route} />;
    case "database": return <DatabaseView />;
    case "metrics": return <MetricsView route={route} />;
    case "services": return <ServicesView />;
    case "status": return <StatusView />;
    default: return <RequestsView route={route} />;
  }
}

function Connection() {
  const live = useLive();
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (live.connected) return undefined;
    const timer = setTimeout(() => setLate(true), 1500);
    return () => clearTimeout(timer);
  }, [live.connected]);
  return late ? <p class="offline" role="status"><Icon name="errors" size={14} /> {t("disconnected")}</p> : null;
}

function TopBar({ route, onMenu, onPalette }: { route: Route; onMenu: () => void; onPalette: () => void }) {
  return (
    <header class="top-bar">
      <button type="button" class="icon-button" aria-label={t("menu")} onClick={onMenu}><Icon name="menu" /></button>
      <span class="top-title">{route.view === "trace" ? t("trace") : t(`view_${route.view}`)}</span>
      <LiveButton />
      <button type="button" class="icon-button" aria-label={t("palette")} onClick={onPalette}><Icon name="search" /></button>
    </header>
  );
}

function LiveButton() {
  const live = useLive();
  const state = !live.connected ? "lost" : live.paused ? "paused" : "live";
  return (
    <button type="button" class={`live ${state}`} title={`${t(live.paused ? "resume" : "pause")} (p)`} aria-pressed={live.paused} onClick={() => pause(!live.paused)}>
      <span class="pulse" aria-hidden="true" />
      {t(`live_${state}`)}
    </button>
  );
}

function SideBar({ route, onPalette, onHelp, onTheme, onLanguage }: { route: Route; onPalette: () => void; onHelp: () => void; onTheme: () => void; onLanguage: () => void }) {
  const { counts } = useLive();
  const status = useData<InspectorStatus>("/api/status", 3000).data;
  const shown: Partial<Record<View, number>> = counts ? { requests: counts.requests, errors: counts.errors, logs: counts.logs } : {};
  const current = route.view === "trace" ? "requests" : route.view;
  const names: [Key, readonly View[]][] = [["group_requests", ["requests", "endpoints", "errors"]], ["group_signals", ["logs", "database", "metrics"]], ["group_system", ["services", "status"]]];
  const command = status?.command;
  return (
    <nav class="side-bar" aria-label={t("views")}>
      <div class="brand">
        <svg width="18" height="18" viewBox="0 0 16 16" aria-hidden="true"><rect x="1" y="2" width="14" height="3" rx="1.5" /><rect x="4" y="6.5" width="8" height="3" rx="1.5" opacity=".7" /><rect x="7" y="11" width="7" height="3" rx="1.5" opacity=".45" /></svg>
        <span>blogauto-otel <b>dev</b></span>
      </div>
      <button type="button" class="palette-button" onClick={onPalette}><Icon name="search" size={14} /><span>{t("palette_button")}</span><kbd>Ctrl K</kbd></button>
      {names.map(([group, views]) => (
        <div key={group} class="nav-group" role="group" aria-label={t(group)}>
          {views.map((view) => (
            <a key={view} href={address(view)} class={current === view ? "current" : ""} aria-current={current === view ? "page" : undefined}>
              <Icon name={view} />
              <span>{t(`view_${view}`)}</span>
              {shown[view] !== undefined && <span class={`nav-count ${view === "errors" && (shown[view] ?? 0) > 0 ? "bad" : ""}`} title={count(shown[view] ?? 0)}>{short(shown[view] ?? 0)}</span>}
            </a>
          ))}
        </div>
      ))}
      <div class="side-foot">
        {command && !command.running && <p class="ended"><Icon name="errors" size={13} /> {t("command_ended", { code: command.exit_code ?? "?" })}</p>}
        {status && (
          <a class="usage" href={address("status")} title={t("store")}>
            <span class="track"><span class={status.store.bytes > 0.9 * status.store.limit_bytes ? "high" : ""} style={{ width: `${Math.min(100, (100 * Math.max(status.store.bytes / status.store.limit_bytes, status.store.spans / status.store.limit_spans)) || 0)}%` }} /></span>
            <span class="number">{t("usage", { spans: short(status.store.spans), bytes: bytes(status.store.bytes) })}</span>
          </a>
        )}
        <div class="side-tools">
          <LiveButton />
          <span class="push" />
          <button type="button" class="icon-button" title={`${t("theme")}: ${t(`theme_${theme()}`)} (t)`} aria-label={t("theme")} onClick={onTheme}><Icon name={THEME_ICONS[theme()]} /></button>
          <button type="button" class="icon-button language" title={language() === "en" ? "한국어" : "English"} aria-label={t("language")} onClick={onLanguage}>{language() === "en" ? "한" : "EN"}</button>
          <button type="button" class="icon-button" title={`${t("keyboard")} (?)`} aria-label={t("keyboard")} onClick={onHelp}><Icon name="help" /></button>
        </div>
      </div>
    </nav>
  );
}
