/** The entry point. */

import { render } from "preact";
import { get } from "./api.ts";
import { App } from "./app.tsx";
import { assign } from "./colors.ts";
import { preferred, setLanguage } from "./i18n.ts";
import { applyTheme, read, theme } from "./preferences.ts";
import type { ServiceMap } from "./types.ts";
import "uplot/dist/uPlot.min.css";
import "./styles.css";

applyTheme(theme());
setLanguage(preferred(read("language"), navigator.language));
document.documentElement.lang = preferred(read("language"), navigator.language);
const target = document.getElementById("app");
get<ServiceMap>("/api/services")
  .then(({ services }) => assign([...services].sort((a, b) => (a.first || Infinity) - (b.first || Infinity) || a.name.localeCompare(b.name)).map((one) => one.name)))
  .catch(() => undefined) // the page says itself when the server is not there
  .finally(() => target && render(<App />, target));
