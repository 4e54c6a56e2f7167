/** The frames of a stack trace, told apart: the application's, and those of libraries, which are folded. */

export interface Part {
  library: boolean;
  frames: number;
  lines: string[];
}

const FRAME = /^\s+(?:File "|at )/;
const LIBRARY = /site-packages|dist-packages|node_modules|\/lib\/python3|<frozen |\/blogauto_otel\/(?:instrumentation|integrations|sdk|export|otlp)\/|node:internal/;

/** The lines of a stack trace as runs of application frames and of library frames; what is no frame is shown. */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let library = false;
  for (const line of text.trimEnd().split("\n")) {
    const frame = FRAME.test(line);
    if (frame) library = LIBRARY.test(line);
    else if (/^\S/.test(line)) library = false;
    const last = found.at(-1);
    const part = last && last.library === library ? last : { library, frames: 0, lines: [] };
    if (part !== last) found.push(part);
    part.lines.push(line);
    if (frame) part.frames += 1;
  }
  return found;
}
