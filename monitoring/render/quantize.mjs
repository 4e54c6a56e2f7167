// Reads a PNG and writes it with a palette of 256 colours: a third of the size without a visible difference.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [modules, path] = process.argv.slice(2);
const UPNG = createRequire(modules + "/package.json")("upng-js");
const image = UPNG.decode(readFileSync(path));
writeFileSync(path, Buffer.from(UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, 256)));
