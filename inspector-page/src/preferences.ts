/** What the reader chose: theme and language, kept in the browser. */

export type Theme = "system" | "light" | "dark";

export function read(key: string): string | null {
  try {
    return localStorage.getItem(`inspector.${key}`);
  } catch {
    return null; // storage is forbidden
  }
}

export function write(key: string, value: string): void {
  try {
    localStorage.setItem(`inspector.${key}`, value);
  } catch {
    // The choice lasts until the page is closed.
  }
}

export function theme(): Theme {
  const chosen = read("theme");
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export function isDark(): boolean {
  const chosen = theme();
  return chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
}

export function applyTheme(chosen: Theme): void {
  write("theme", chosen);
  if (chosen === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
}
