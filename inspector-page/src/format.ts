/** Numbers, durations, sizes and times as texts of a fixed shape, so that columns align. */

import { t } from "./i18n.ts";

/** A duration in milliseconds with three significant figures: `0.42 ms`, `12.3 ms`, `1.24 s`, `2 min 05 s`. */
export function duration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "–";
  if (milliseconds >= 60_000) {
    const seconds = Math.round(milliseconds / 1000);
    return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  }
  if (milliseconds >= 999.5) return `${significant(milliseconds / 1000)} s`;
  if (milliseconds >= 0.9995 || milliseconds === 0) return `${significant(milliseconds)} ms`;
  return `${significant(milliseconds * 1000)} µs`;
}

/** At most three significant figures, without an exponent. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 99.95) return String(Math.round(value));
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.01) return value.toFixed(2);
  return value.toPrecision(2);
}

/** A count with thousands separators. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** A count in at most four characters: `980`, `1.2k`, `34k`, `5.1M`. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size < 1000) return Number.isInteger(value) ? String(value) : significant(value);
  const [factor, unit] = size < 999_500 ? [1e3, "k"] : size < 999_500_000 ? [1e6, "M"] : [1e9, "G"];
  const scaled = value / (factor as number);
  return `${Math.abs(scaled) < 9.95 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`;
}

/** Bytes in powers of 1024. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let index = 0;
  let scaled = value;
  while (scaled >= 1024 && index < units.length - 1) {
    scaled /= 1024;
    index += 1;
  }
  return `${index === 0 ? scaled : scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[index]}`;
}

/** The value of a metric with its unit (UCUM): seconds and bytes are scaled, annotations in braces are left out. */
export function measured(value: number, unit: string): string {
  if (unit === "s") return duration(value * 1000);
  if (unit === "ms") return duration(value);
  if (unit === "By") return Math.abs(value) < 1024 ? `${short(value)} B` : bytes(value);
  if (unit === "%") return `${significant(value)} %`;
  const plain = unit.replace(/\{[^}]*\}/g, "");
  return plain && plain !== "1" ? `${short(value)} ${plain}` : short(value);
}

const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

/** Local time of day with milliseconds: `14:03:22.118`. */
export function clock(time: number): string {
  return `${clockSeconds(time)}.${pad(new Date(time).getMilliseconds(), 3)}`;
}

/** Local time of day with seconds: `14:03:22`. */
export function clockSeconds(time: number): string {
  const date = new Date(time);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** Local date and time with milliseconds: `2026-11-30 14:03:22.118`. */
export function instant(time: number): string {
  const date = new Date(time);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(time)}`;
}

/** How long ago an instant was, in words. */
export function ago(time: number, now: number = Date.now()): string {
  if (!time) return "–";
  const seconds = Math.max(0, (now - time) / 1000);
  if (seconds < 2) return t("now");
  if (seconds < 100) return t("seconds_ago", { n: Math.round(seconds) });
  if (seconds < 6000) return t("minutes_ago", { n: Math.round(seconds / 60) });
  if (seconds < 172_800) return t("hours_ago", { n: Math.round(seconds / 3600) });
  return t("days_ago", { n: Math.round(seconds / 86_400) });
}

/** An attribute's value as text. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
